// Tables can be sorted and, from some lines on, searched. Nothing is paged: on paper there is no next page to turn to.
const bundle = document.getElementById("datatables").textContent;
const { default: DataTable } = await import(`data:text/javascript;base64,${bundle}`);
for (const table of document.querySelectorAll("figure.table table")) {
  const searched = table.classList.contains("searched");
  new DataTable(table, {
    paging: false,
    info: false,
    order: [],
    autoWidth: false,
    layout: { topStart: null, topEnd: searched ? "search" : null, bottomStart: null, bottomEnd: null },
    language: { search: "", searchPlaceholder: "search" },
  });
}
document.body.classList.add("ready");

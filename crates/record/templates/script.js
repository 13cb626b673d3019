// Without this the page reads the same. It opens the row that a link points at, and every part before printing.
const show = () => {
  const row = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const details = row ? row.querySelector('details.row') : null;
  if (details) details.open = true;
};
addEventListener('hashchange', show);
addEventListener('beforeprint', () => document.querySelectorAll('details').forEach(part => { part.open = true; }));
show();

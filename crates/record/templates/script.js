// Without this the page reads the same. It opens what a link points at, and every part before printing.
const show = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const details = target ? target.closest('details') || target.querySelector('details.row') : null;
  if (details) details.open = true;
};
addEventListener('hashchange', show);
addEventListener('beforeprint', () => document.querySelectorAll('details').forEach(part => { part.open = true; }));
show();

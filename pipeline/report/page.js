// Without this script every part stands below the last and the names are links to them; with it they are tabs.
for (const bar of document.querySelectorAll("[data-tabs]")) {
  const tabs = [...bar.querySelectorAll("a")];
  const panel = (tab) => document.getElementById(tab.hash.slice(1));
  const show = (chosen, focus) => {
    for (const tab of tabs) {
      tab.setAttribute("aria-selected", tab === chosen);
      tab.tabIndex = tab === chosen ? 0 : -1;
      panel(tab).classList.toggle("off", tab !== chosen);
    }
    if (focus) chosen.focus();
  };
  bar.setAttribute("role", "tablist");
  for (const [place, tab] of tabs.entries()) {
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", tab.hash.slice(1));
    panel(tab).setAttribute("role", "tabpanel");
    panel(tab).tabIndex = 0;
    tab.addEventListener("click", (event) => { event.preventDefault(); show(tab, true); });
    tab.addEventListener("keydown", (event) => {
      const to = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: -1 }[event.key];
      if (event.key === " ") { event.preventDefault(); show(tab, true); }
      if (to === undefined) return;
      event.preventDefault();
      show(tabs.at(to % tabs.length), true);
    });
  }
  show(tabs.find((tab) => tab.hash === location.hash) ?? tabs[0], false);
}

// The connected regions of the mask, the largest first, with their areas.
"use strict";

const MOST_REGIONS = 8;
let listing = 0;

function listRegionsSoon() {
  clearTimeout(listing);
  listing = setTimeout(() => { if (shown?.map) listRegions(); }, 80);
}

function listRegions() {
  const { viewer, map } = shown;
  const found = regionsOf(map, threshold() * 65535).sort((a, b) => b.count - a.count);
  const pixels = viewer.dataset.rows * viewer.dataset.cols / map.values.length;
  viewer.querySelector("#regions").replaceChildren(...found.slice(0, MOST_REGIONS).map((region) => {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "link" });
    button.textContent = `${sizeText(region.count * pixels)}, highest ${(region.highest / 65535).toFixed(3)}`;
    button.addEventListener("click", () => lookAt(region.at % map.cols / map.cols, Math.floor(region.at / map.cols) / map.rows));
    const item = document.createElement("li");
    item.append(button);
    return item;
  }));
  viewer.querySelector("#more-regions").textContent = found.length > MOST_REGIONS
    ? `and ${found.length - MOST_REGIONS} smaller ones` : found.length ? "" : "none at this threshold";
}

function lookAt(x, y) {
  const { across, fit } = placed();
  Object.assign(view, { x, y, zoom: Math.max(across, 3 * fit) });
  layOut();
}

// pixels that touch by a side or a corner are one region; at: its highest pixel
function regionsOf({ rows, cols, values }, least) {
  const seen = new Uint8Array(values.length);
  const open = [];
  const found = [];
  for (let first = 0; first < values.length; first += 1) {
    if (seen[first] || values[first] < least) continue;
    const region = { count: 0, highest: -1, at: first };
    seen[first] = 1;
    open.push(first);
    while (open.length) {
      const here = open.pop();
      region.count += 1;
      if (values[here] > region.highest) Object.assign(region, { highest: values[here], at: here });
      const [row, col] = [Math.floor(here / cols), here % cols];
      for (let y = Math.max(0, row - 1); y <= Math.min(rows - 1, row + 1); y += 1) {
        for (let x = Math.max(0, col - 1); x <= Math.min(cols - 1, col + 1); x += 1) {
          const near = y * cols + x;
          if (!seen[near] && values[near] >= least) {
            seen[near] = 1;
            open.push(near);
          }
        }
      }
    }
    found.push(region);
  }
  return found;
}

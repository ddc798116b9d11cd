// What a chart shows as files: the bars as CSV, the picture as PNG.

import { MOST_ROWS, apiUrl, ask, barsPath, cutOff } from "./api.js";
import { $, color, formatTime, load } from "./base.js";

const HEADER = 34; // pixels above the picture
// broker and symbol, the first two cells of a row, up to a sign with which a spreadsheet's formulas begin; of East Asian keyboards, too
const FORMULAS = [/^("?)([=+@\-＝＋＠－])/, /^((?:"(?:[^"]|"")*"|[^,"]*),"?)([=+@\-＝＋＠－])/];

// `seen()`: broker, symbol, frame, starts of the bars and chart of what is on the screen
export function onExport(seen) {
  const onClick = (ending, blobOf) => {
    const saveSeen = async () => {
      const shown = seen(); // at the click: the chart may go elsewhere before the file is there
      save(await blobOf(shown), name(shown, ending));
    };
    $(ending).addEventListener("click", () => load(saveSeen));
  };
  onClick("csv", async (shown) => new Blob([await csv(shown)], { type: "text/csv" }));
  onClick("png", (shown) => new Promise((resolve) => picture(shown).toBlob(resolve, "image/png")));
}

const name = ({ broker, symbol, frame, starts }, ending) =>
  `${[broker, symbol, frame.name, starts.length ? formatTime(starts[0]) : "empty"].join("_").replace(/[^\w.-]+/g, "-")}.${ending}`;

function save(blob, file) {
  const link = document.createElement("a");
  [link.href, link.download] = [URL.createObjectURL(blob), file];
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser may still read it
}

// A file that is saved from a page is opened in a spreadsheet, which runs a name that begins like a formula. An apostrophe before
// it makes it a text there. Programs ask the API itself, whose names are exact.
const guarded = (row) => FORMULAS.reduce((text, formula) => text.replace(formula, "$1'$2"), row);

// Final bars of all partitions come from the API as text, with every digit.
async function csv({ broker, symbol, frame, starts }) {
  const range = { from: starts[0] ?? 0, to: (starts.at(-1) ?? -1) + 1 };
  let url = apiUrl(barsPath(broker, symbol), { ...range, limit: MOST_ROWS, frame: frame.base ? null : frame.name });
  const pages = [];
  while (url) {
    const response = await ask(url, "text/csv");
    pages.unshift(await response.text().catch(cutOff)); // the newest page comes first
    url = /<([^>]+)>; *rel="next"/.exec(response.headers.get("Link") ?? "")?.[1];
  }
  const [header] = pages[0].split("\r\n", 1);
  const rows = pages.flatMap((page) => page.split("\r\n").slice(1, -1));
  return [header, ...rows.map(guarded), ""].join("\r\n");
}

// the chart under a line that says what it is
function picture({ broker, symbol, frame, starts, chart }) {
  const shown = chart.takeScreenshot(true);
  const ratio = shown.width / $("chart").clientWidth;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [shown.width, shown.height + HEADER * ratio];
  const context = canvas.getContext("2d");
  context.fillStyle = color("panel");
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = color("text");
  context.textBaseline = "middle";
  context.font = `${15 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
  const range = starts.length ? `, ${formatTime(starts[0])} to ${formatTime(starts.at(-1))}` : "";
  context.fillText(`${symbol} of ${broker}, ${frame.name} bars${range}`, 10 * ratio, (HEADER / 2) * ratio, canvas.width - 20 * ratio);
  context.drawImage(shown, 0, HEADER * ratio);
  return canvas;
}

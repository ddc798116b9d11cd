// A dashed vertical line at the bar that holds the watermark, through all panes of a chart.

import { color } from "./base.js";

// `startOf` gives that bar's start (ms) or null. Returns a function that makes a primitive for one pane.
export function watermarkLine(chart, startOf) {
  function draw(target) {
    const start = startOf();
    const x = start === null ? null : chart.timeScale().timeToCoordinate(start / 1000);
    if (x === null) return;
    target.useBitmapCoordinateSpace(({ context, bitmapSize, horizontalPixelRatio }) => {
      context.strokeStyle = color("warn");
      context.setLineDash([4 * horizontalPixelRatio, 4 * horizontalPixelRatio]);
      const width = Math.max(1, Math.floor(horizontalPixelRatio));
      const middle = Math.round(x * horizontalPixelRatio) + (width % 2) / 2; // on whole pixels, else it is pale
      context.lineWidth = width;
      context.beginPath();
      context.moveTo(middle, 0);
      context.lineTo(middle, bitmapSize.height);
      context.stroke();
    });
  }
  return () => ({ updateAllViews() {}, paneViews: () => [{ renderer: () => ({ draw }) }] });
}

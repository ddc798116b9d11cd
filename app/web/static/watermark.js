// A dashed vertical line at the bar in which the watermark is, through all panes of a chart.

import { colour } from "./base.js";

// `startOf` gives that bar's start, or null; each call of what is returned makes a primitive for one pane
export function watermarkLine(chart, startOf) {
  function draw(target) {
    const start = startOf();
    const x = start === null ? null : chart.timeScale().timeToCoordinate(start / 1000);
    if (x === null) return;
    target.useBitmapCoordinateSpace(({ context, bitmapSize, horizontalPixelRatio }) => {
      context.strokeStyle = colour("warn");
      context.setLineDash([4 * horizontalPixelRatio, 4 * horizontalPixelRatio]);
      context.lineWidth = horizontalPixelRatio;
      context.beginPath();
      context.moveTo(x * horizontalPixelRatio, 0);
      context.lineTo(x * horizontalPixelRatio, bitmapSize.height);
      context.stroke();
    });
  }
  return () => ({ updateAllViews() {}, paneViews: () => [{ renderer: () => ({ draw }) }] });
}

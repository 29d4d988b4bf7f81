import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useSettings } from "../settings.tsx";

export interface Bucket {
  /** Unix seconds. */
  readonly at: number;
  readonly unwraps: number;
  readonly refusals: number;
}

const height = 240;

/** Unwraps and refusals of the last quarter of an hour, as lines over time. */
export function ActivityChart({ buckets, label }: { readonly buckets: readonly Bucket[]; readonly label: string }) {
  const { text, theme, language } = useSettings();
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const data = useRef<uPlot.AlignedData>([[], [], []]);
  data.current = [
    buckets.map((each) => each.at),
    buckets.map((each) => each.unwraps),
    buckets.map((each) => each.refusals),
  ];
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const make = () => {
      plot.current?.destroy();
      plot.current = new uPlot(optionsFor(element, text), data.current, element);
    };
    make();
    const resized = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height }));
    resized.observe(element);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", make);
    return () => {
      resized.disconnect();
      dark.removeEventListener("change", make);
      plot.current?.destroy();
      plot.current = undefined;
    };
  }, [theme, language]);
  useEffect(() => plot.current?.setData(data.current), [buckets]);
  return <div class="chart" ref={place} role="img" aria-label={label} />;
}

function optionsFor(element: HTMLElement, text: ReturnType<typeof useSettings>["text"]): uPlot.Options {
  const style = getComputedStyle(element);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const font = `12px ${style.fontFamily}`;
  const axis = {
    stroke: colour("--quiet"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    font,
  };
  const series = (label: string, name: string) => ({
    label,
    stroke: colour(name),
    fill: `${colour(name)}22`,
    width: 1.5,
    points: { show: false },
  });
  const clock = (seconds: number) => new Date(seconds * 1000).toLocaleTimeString("en-GB");
  return {
    width: element.clientWidth,
    height,
    legend: { live: true },
    cursor: { drag: { x: false, y: false } },
    scales: { y: { range: (_plot, _least, most) => [0, Math.max(4, Math.ceil(most * 1.1))] } },
    axes: [
      { ...axis, values: (_plot, splits) => splits.map((each) => clock(each).slice(0, 5)) },
      { ...axis, size: 44, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000] },
    ],
    series: [
      { label: text("chart.time"), value: (_plot, at) => (at == null ? "–" : clock(at)) },
      series(text("chart.unwraps"), "--accent"),
      series(text("chart.refusals"), "--bad"),
    ],
  };
}

import type { Text } from "../text/text.ts";

/** Whole units of a span of seconds, as people say it. */
export function span(text: Text, seconds: number): string {
  if (seconds >= 172_800) return text("span.days", { count: Math.floor(seconds / 86_400) });
  if (seconds >= 7200) return text("span.hours", { count: Math.floor(seconds / 3600) });
  if (seconds >= 120) return text("span.minutes", { count: Math.floor(seconds / 60) });
  return text("span.seconds", { count: seconds });
}

/** How long ago a moment was, by this page's clock. @param at - ISO 8601 */
export function ageOf(text: Text, at: string): string {
  return span(text, Math.max(0, Math.floor((Date.now() - Date.parse(at)) / 1000)));
}

import type { Text } from "../text/text.ts";
import { span } from "./lease.tsx";

/** How long ago a moment was, by this page's clock. @param at - ISO 8601 */
export function ageOf(text: Text, at: string): string {
  return span(text, Math.max(0, Math.floor((Date.now() - Date.parse(at)) / 1000)));
}

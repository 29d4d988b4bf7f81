import type { NativeDeviceEvent } from "./device-events.ts";

const windowMs = 60_000;
const mostInWindow = 10;

/**
 * For logs: passes at most ten events of one name a minute, so that a device which loses its sessions again and again fills no disk.
 * Counters want every event, and must not be behind this.
 *
 * @param tell - `withheld`: how many events of this name were not passed since the last that was.
 */
export function calmly(
  tell: (event: NativeDeviceEvent, withheld: number) => void,
  nowMs: () => number = () => performance.now(),
): (event: NativeDeviceEvent) => void {
  const told = new Map<NativeDeviceEvent["event"], { sinceMs: number; passed: number; withheld: number }>();
  return (event) => {
    const now = nowMs();
    const known = told.get(event.event);
    const kept = known !== undefined && now - known.sinceMs < windowMs ? known : undefined;
    if (kept !== undefined && kept.passed >= mostInWindow) {
      kept.withheld += 1;
      return;
    }
    const withheld = known?.withheld ?? 0;
    told.set(event.event, { sinceMs: kept?.sinceMs ?? now, passed: (kept?.passed ?? 0) + 1, withheld: 0 });
    tell(event, withheld);
  };
}

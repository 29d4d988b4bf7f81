import { Counter, Gauge, type Registry } from "prom-client";
import type { ObservedDevices } from "../custody/contract/devices.ts";

const states = ["ready", "degraded", "locked", "down"] as const;

type Observe = () => Promise<ObservedDevices>;
type Device = ObservedDevices["devices"][number];

/**
 * Adds the metrics of the devices that `devices.toml` names. All labels are from that file, of at most 32 devices, or from closed
 * sets. The devices are asked at each scrape for what is known of them; none is opened for it.
 */
export function watchDevices(registry: Registry, observe: Observe): void {
  const registers = [registry];
  const observed = sharedWithinScrape(observe);
  const gauge = (name: string, help: string, read: (device: Device) => number) =>
    new Gauge({
      name,
      help,
      labelNames: ["device"] as const,
      registers,
      async collect() {
        const { devices } = await observed();
        this.reset();
        for (const each of devices) this.set({ device: each.name }, read(each));
      },
    });
  const counter = (name: string, help: string, read: (device: Device) => number) =>
    new Counter({
      name,
      help,
      labelNames: ["device"] as const,
      registers,
      async collect() {
        const { devices } = await observed();
        this.reset();
        for (const each of devices) this.inc({ device: each.name }, read(each));
      },
    });

  new Gauge({
    name: "strongroom_devices_trusted",
    help: "1 while devices.toml is the list that an administrator trusted, or there is none and none was trusted; else 0",
    registers,
    async collect() {
      this.set((await observed()).trust === "trusted" ? 1 : 0);
    },
  });
  new Gauge({
    name: "strongroom_device_state",
    help: "1 for the state that the device is in (ready, degraded, locked: its PIN was refused, down), 0 for the others",
    labelNames: ["device", "kind", "state"] as const,
    registers,
    async collect() {
      const { devices } = await observed();
      this.reset();
      for (const { name: device, kind, state } of devices)
        for (const each of states) this.set({ device, kind, state: each }, each === state ? 1 : 0);
    },
  });
  gauge("strongroom_device_sessions", "Sessions that are open and can be used", ({ sessions }) => sessions);
  gauge("strongroom_device_queued_calls", "Calls that wait for a session", ({ queue }) => queue);
  gauge(
    "strongroom_device_breaker_open",
    "1 while the device is left alone because too many calls failed one after the other",
    ({ breakerOpen }) => (breakerOpen ? 1 : 0),
  );
  counter("strongroom_device_uses_total", "Uses of the device by operations on its keys", ({ uses }) => uses);
  counter(
    "strongroom_device_process_starts_total",
    "Processes started for the device's library; each beyond the first replaces one that ended",
    ({ processStarts }) => processStarts,
  );
  new Counter({
    name: "strongroom_device_failures_total",
    help: "Uses of the device that failed, by the kind of failure",
    labelNames: ["device", "kind"] as const,
    registers,
    async collect() {
      const { devices } = await observed();
      this.reset();
      for (const { name: device, failures } of devices)
        for (const [kind, times] of Object.entries(failures)) this.inc({ device, kind }, times);
    },
  });
}

/** The metrics of one scrape are gathered at once: they share one look at the devices. */
function sharedWithinScrape(observe: Observe): Observe {
  let look: Promise<ObservedDevices> | undefined;
  return () => {
    look ??= observe().finally(() => {
      look = undefined;
    });
    return look;
  };
}

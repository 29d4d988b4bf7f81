import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Registry } from "prom-client";
import type { DeviceStateDescription, ObservedDevices } from "../../../src/custody/contract/devices.ts";
import { watchDevices } from "../../../src/server/device-metrics.ts";

const card: DeviceStateDescription = {
  name: "card-1",
  kind: "sdf",
  library: "/lib/x.so",
  members: [],
  state: "ready",
  detail: "2 sessions, 3 calls wait",
  trust: "trusted",
  pinned: true,
  sessions: 2,
  queue: 3,
  breakerOpen: false,
  uses: 12,
  failures: { timeout: 2, comm: 1 },
  processStarts: 2,
  lastError: { kind: "comm", code: "0x01000003", message: "PIN-canary is not shown by metrics" },
};

async function watched(first: ObservedDevices) {
  const registry = new Registry();
  const observed = { answer: first, looks: 0 };
  watchDevices(registry, async () => {
    observed.looks += 1;
    return observed.answer;
  });
  return { observed, text: () => registry.metrics() };
}

describe("the metrics of devices", () => {
  it("tell each device's state, sessions, queue, uses, failures by kind and process starts", async () => {
    const { text } = await watched({ trust: "trusted", devices: [card] });
    const found = await text();
    for (const line of [
      "strongroom_devices_trusted 1",
      'strongroom_device_state{device="card-1",kind="sdf",state="ready"} 1',
      'strongroom_device_state{device="card-1",kind="sdf",state="locked"} 0',
      'strongroom_device_state{device="card-1",kind="sdf",state="down"} 0',
      'strongroom_device_sessions{device="card-1"} 2',
      'strongroom_device_queued_calls{device="card-1"} 3',
      'strongroom_device_breaker_open{device="card-1"} 0',
      'strongroom_device_uses_total{device="card-1"} 12',
      'strongroom_device_failures_total{device="card-1",kind="timeout"} 2',
      'strongroom_device_failures_total{device="card-1",kind="comm"} 1',
      'strongroom_device_process_starts_total{device="card-1"} 2',
    ])
      assert.ok(found.includes(`${line}\n`), `${line} is missing from:\n${found}`);
    assert.doesNotMatch(found, /canary|x\.so/);
  });

  it("look at the devices once for a scrape, and anew for the next", async () => {
    const { text, observed } = await watched({ trust: "trusted", devices: [card] });
    await text();
    assert.equal(observed.looks, 1);
    observed.answer = { trust: "changed", devices: [{ ...card, state: "locked", uses: 13, breakerOpen: true }] };
    const found = await text();
    assert.equal(observed.looks, 2);
    assert.match(found, /strongroom_devices_trusted 0\n/);
    assert.match(found, /strongroom_device_state\{device="card-1",kind="sdf",state="locked"\} 1\n/);
    assert.match(found, /strongroom_device_state\{device="card-1",kind="sdf",state="ready"\} 0\n/);
    assert.match(found, /strongroom_device_breaker_open\{device="card-1"\} 1\n/);
    assert.match(found, /strongroom_device_uses_total\{device="card-1"\} 13\n/);
  });

  it("forget a device that is named no more, and name none of a list that is not trusted", async () => {
    const { text, observed } = await watched({ trust: "trusted", devices: [card] });
    assert.match(await text(), /card-1/);
    observed.answer = { trust: "untrusted", devices: [] };
    const found = await text();
    assert.doesNotMatch(found, /card-1/);
    assert.match(found, /strongroom_devices_trusted 0\n/);
  });
});

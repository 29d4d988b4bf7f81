import assert from "node:assert/strict";
import { test } from "node:test";
import { Spinning } from "../../../../../src/volume/sealfs/kernel/spinning.ts";

/** A server and the program that asks it, by a clock that only the test moves. */
class Scene {
  nowMs = 0;
  readonly spinning: Spinning;

  constructor(cores = 2) {
    this.spinning = new Spinning(cores, () => this.nowMs);
  }

  /** After an answer nothing waits; the next request comes later by so much. @returns How long it was spun for. */
  requestAfter(ms: number): number {
    const beganMs = this.nowMs;
    while (this.spinning.looksAgain() && this.nowMs - beganMs < ms) this.nowMs += 0.005;
    const spunMs = this.nowMs - beganMs;
    this.nowMs = Math.max(this.nowMs, beganMs + ms);
    this.spinning.requestCame();
    return spunMs;
  }

  /** As many requests as it takes, each asked at once. */
  warmUp(): void {
    for (let request = 0; request < 20; request += 1) this.requestAfter(0.01);
  }
}

test("requests that come soon, one after another, are waited for awake", () => {
  const scene = new Scene();
  assert.equal(scene.requestAfter(0.02), 0, "not from the first on");
  scene.warmUp();
  assert.ok(scene.requestAfter(0.02) > 0);
});

test("a spin ends after a twentieth of a millisecond, and one in vain is the last", () => {
  const scene = new Scene();
  scene.warmUp();
  const spunMs = scene.requestAfter(10);
  assert.ok(spunMs > 0 && spunMs < 0.06, String(spunMs));
  assert.equal(scene.requestAfter(0.02), 0);
  scene.warmUp();
  assert.ok(scene.requestAfter(0.02) > 0, "it learns again");
});

test("a slow mount never spins", () => {
  const scene = new Scene();
  for (let request = 0; request < 100; request += 1) assert.equal(scene.requestAfter(0.2), 0);
});

test("requests of which some come late are slept for", () => {
  const scene = new Scene();
  for (let request = 0; request < 100; request += 1)
    assert.equal(scene.requestAfter(request % 4 === 0 ? 1 : 0.02), 0, `request ${request}`);
});

test("requests that wait already say nothing of how soon others come", () => {
  const scene = new Scene();
  for (let request = 0; request < 100; request += 1) scene.spinning.requestCame();
  assert.equal(scene.requestAfter(0.02), 0);
});

test("a machine of one core never spins", () => {
  const scene = new Scene(1);
  scene.warmUp();
  assert.equal(scene.requestAfter(0.02), 0);
});

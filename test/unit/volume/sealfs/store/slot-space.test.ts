import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import { Births } from "../../../../../src/volume/sealfs/store/births.ts";
import { Bitmap } from "../../../../../src/volume/sealfs/store/bitmap.ts";
import { Geometry } from "../../../../../src/volume/sealfs/store/geometry.ts";
import { SlotSpace } from "../../../../../src/volume/sealfs/store/slot-space.ts";

function taken(space: SlotSpace, most: number): readonly [number, number] {
  const count = space.take(most);
  return [space.first, count];
}

test("slots are given out in a row, from 1", () => {
  const space = new SlotSpace(new Births(0, 0), 0, 0);
  deepEqual(taken(space, 3), [1, 3]);
  deepEqual(taken(space, 2), [4, 2]);
  equal(space.used, 5);
});

test("a slot that a head refers to is not given out again before the next is durable", () => {
  const births = new Births(5, 5);
  const space = new SlotSpace(births, 10, 10);
  space.release(3, 4);
  deepEqual(taken(space, 1), [11, 1]);
  equal(space.waiting, 1);
  space.settle();
  deepEqual(taken(space, 1), [3, 1]);
});

test("a slot that no head refers to is given out again, at a later time", () => {
  const births = new Births(5, 5);
  const space = new SlotSpace(births, 10, 10);
  const before = births.now;
  space.release(7, before);
  deepEqual(taken(space, 4), [7, 1]);
  ok(births.now > before);
});

test("before anything is durable no slot is given out twice", () => {
  const births = new Births(0, 0);
  const space = new SlotSpace(births, 0, 0);
  space.take(4);
  space.release(2, births.now);
  deepEqual(taken(space, 1), [5, 1]);
  equal(space.waiting, 1);
});

test("what is taken back from the end is given out again at a later time", () => {
  const births = new Births(5, 5);
  const space = new SlotSpace(births, 10, 10);
  const before = births.now;
  space.take(4);
  space.putBack(11, 4);
  equal(space.highWater, 10);
  equal(space.used, 10);
  ok(births.now > before);
});

test("slots that nobody knows of are learned from those in use", () => {
  const space = new SlotSpace(new Births(5, 5), 10, 2);
  equal(space.unknown, 8);
  const used = new Bitmap();
  used.add(2);
  used.add(9);
  space.learn(used);
  equal(space.unknown, 0);
  deepEqual(taken(space, 5), [1, 1]);
  deepEqual(taken(space, 5), [3, 5]);
  equal(space.freeTail(), 1);
  space.cutTail();
  equal(space.highWater, 9);
});

test("a set of numbers finds its members in order, wherever they lie", () => {
  const set = new Bitmap();
  const members = [0, 1, 31, 32, 33, 63, 64, 1000, 99_999];
  for (const member of members) ok(set.add(member));
  ok(!set.add(31));
  equal(set.count, members.length);
  const found: number[] = [];
  for (let member = set.next(0); member !== undefined; member = set.next(member + 1)) found.push(member);
  deepEqual(found, members);
  ok(set.delete(32));
  ok(!set.delete(32));
  ok(!set.has(32));
  ok(!set.has(10_000_000));
  equal(set.next(100_000), undefined);
});

test("a layout with another size of block is refused", () => {
  for (const blockBytes of [0, 1024, 4095, 5000, 131_072, Number.NaN])
    throws(() => new Geometry({ blockBytes, integrity: "blocks" }), RangeError);
});

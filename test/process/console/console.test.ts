import assert from "node:assert/strict";
import { createHash, randomUUID } from "node:crypto";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout } from "node:timers/promises";
import type { Browser, Page } from "playwright-core";
import type { Enrolment } from "../../../src/client/enroll.ts";
import { KeyManagerFolder, repository } from "../running-server.ts";
import { codeFor, noBrowser, openBrowser, openPage, type ServedConsole, serveConsole, signIn } from "./browser.ts";

const context = (node: string) => ({ network: "consortium", node, purpose: "ledger" });

/** Waits for what the page comes to after a moment. The page's policy allows no code that is made from text. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 150; tries++) {
    if (await holds()) return;
    await setTimeout(100);
  }
  assert.fail("the page did not come to it");
}

describe("the web console in Chromium", { skip: noBrowser, timeout: 300_000 }, () => {
  let manager: KeyManagerFolder;
  let served: ServedConsole;
  let browser: Browser;
  let key: string;
  const nodes = new Map<string, Enrolment>();
  before(async () => {
    manager = await KeyManagerFolder.make();
    [served, browser] = await Promise.all([serveConsole(manager), openBrowser()]);
    const { admin } = served.server;
    key = (await admin.keys.create({ alias: "alias/ledger", description: "Ledgers of bank A's nodes" })).keyId;
    await admin.keys.create({ alias: "alias/archive", suite: "sm" });
    await admin.principals.create({ name: "alice", kind: "user", role: "auditor" });
    for (const name of ["bank-a-1", "bank-a-2"]) nodes.set(name, await served.server.enrol(name, key));
  });
  after(async () => {
    await browser?.close();
    await served?.[Symbol.asyncDispose]();
    manager?.[Symbol.dispose]();
  });

  /** One unwrap as the node makes it when it starts; resolves to the code of the refusal, or `released`. */
  async function unwrapAs(name: string): Promise<string> {
    const enrolment = nodes.get(name);
    if (enrolment === undefined) throw new Error(`${name} is not enrolled`);
    using client = served.server.clientOf(enrolment);
    try {
      const { wrapped } = await client.generateDataKey({ key, context: context(name) });
      using plaintext = (await client.unwrap({ wrapped, context: context(name) })).plaintext;
      return plaintext.byteLength === 32 ? "released" : "short";
    } catch (error) {
      return (error as { code?: string }).code ?? String(error);
    }
  }
  const code = (...more: readonly string[]) => codeFor(manager, ...more);
  async function screenshot(page: Page, name: string): Promise<void> {
    if (process.env.STRONGROOM_SCREENSHOTS !== "1") return;
    await page.screenshot({ path: join(repository, `docs/images/console-${name}.png`) });
  }

  it("signs in with a code once, and not a second time", async () => {
    const { context: window, page, problems } = await openPage(browser);
    const typed = await code();
    await page.goto(served.url);
    await screenshot(page, "sign-in");
    await signIn(page, served.url, ` ${typed.toLowerCase().replaceAll("-", " ")}`);
    assert.equal(await page.locator(".principal").textContent(), "user/local-administrator");
    const cookies = await window.cookies();
    assert.deepEqual(
      cookies.map(({ name, httpOnly, secure, sameSite, path }) => ({ name, httpOnly, secure, sameSite, path })),
      [{ name: "__Host-strongroom", httpOnly: true, secure: true, sameSite: "Strict", path: "/" }],
    );
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.locator("input[name=code]").fill(typed);
    await page.locator("button[type=submit]").click();
    await page.getByRole("alert").filter({ hasText: "Refused" }).waitFor();
    assert.deepEqual(problems, []);
    await window.close();
  });

  it("shows keys with state, versions, aliases, policy and grants", async () => {
    const { context: window, page, problems } = await openPage(browser);
    await signIn(page, served.url, await code());
    await page.getByRole("link", { name: "Master keys" }).click();
    const row = page.locator(`tr[data-key="${key}"]`);
    await row.getByText("enabled").waitFor();
    await screenshot(page, "keys");
    await row.getByRole("button", { name: "alias/ledger" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("node/bank-a-1").waitFor();
    await dialog.getByText("2012-10-17").waitFor();
    assert.match((await dialog.textContent()) ?? "", new RegExp(key));
    await screenshot(page, "key");
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    assert.deepEqual(problems, []);
    await window.close();
  });

  it("disables a key after naming what stops: the next unwrap is refused, and enabling restores it", async () => {
    const { context: window, page, problems } = await openPage(browser);
    await signIn(page, served.url, await code());
    await page.goto(`${served.url}#keys`);
    assert.equal(await unwrapAs("bank-a-1"), "released");
    const row = page.locator(`tr[data-key="${key}"]`);
    await row.getByRole("button", { name: "Disable" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("node bank-a-1: its unwraps with alias/ledger").waitFor();
    await dialog.getByText("node bank-a-2: its unwraps with alias/ledger").waitFor();
    await screenshot(page, "disable-key");
    await dialog.getByRole("button", { name: "Cancel" }).click();
    assert.equal(await unwrapAs("bank-a-1"), "released");
    await row.getByRole("button", { name: "Disable" }).click();
    await dialog.getByRole("button", { name: "Disable" }).click();
    await page.getByRole("status").filter({ hasText: "alias/ledger is disabled." }).waitFor();
    assert.equal(await unwrapAs("bank-a-1"), "REFUSED");
    await row.getByRole("button", { name: "Enable" }).click();
    await dialog.getByRole("button", { name: "Enable" }).click();
    await page.getByRole("status").filter({ hasText: "alias/ledger is enabled." }).waitFor();
    assert.equal(await unwrapAs("bank-a-1"), "released");
    assert.deepEqual(problems, []);
    await window.close();
  });

  it("shows each node's lease, or that there is none, and follows its checks without being asked", async () => {
    const { context: window, page, problems } = await openPage(browser);
    const enrolment = nodes.get("bank-a-1");
    assert.ok(enrolment !== undefined);
    using client = served.server.clientOf(enrolment);
    const { wrapped } = await client.generateDataKey({ key, context: context("bank-a-1") });
    const check = async (lease: { seconds: number; launch: string }) => {
      using _plaintext = (await client.unwrap({ wrapped, context: context("bank-a-1"), lease })).plaintext;
    };
    assert.equal(await unwrapAs("bank-a-2"), "released");
    const lease = { seconds: 3600, launch: randomUUID() };
    await check(lease);
    await signIn(page, served.url, await code());
    await page.goto(`${served.url}#nodes`);
    const cell = page.locator('tr[data-node="bank-a-1"] td.lease');
    await cell.getByText(/checked every 60 min, last \d+ s ago/).waitFor();
    const without = page.locator('tr[data-node="bank-a-2"] td.lease');
    assert.equal(await without.textContent(), "nonea running node keeps its keys until it stops");
    await page.locator('tr[data-node="bank-a-1"]').getByRole("button", { name: "Revoke" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("the node itself, at its lease's next check: within 60 min").waitFor();
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await client.releaseLease(lease.launch);
    await cell.getByText("its launcher has stopped the node").waitFor();
    await check({ seconds: 1, launch: randomUUID() });
    await cell.getByText("lapsed").waitFor();
    await check({ seconds: 600, launch: randomUUID() });
    await cell.getByText(/checked every 10 min, last \d+ s ago/).waitFor();
    await page.locator("select[name=language]").selectOption("zh");
    await cell.getByText(/每 10 分钟检查一次，最近一次在 \d+ 秒前/).waitFor();
    await page.locator("select[name=theme]").selectOption("dark");
    await screenshot(page, "nodes-dark-zh");
    assert.deepEqual(problems, []);
    await window.close();
  });

  it("shows enclaves as their hosts reported them, when, and the last use of each one's key", async () => {
    const { context: window, page, problems } = await openPage(browser);
    const { admin } = served.server;
    const alias = "alias/enclaves";
    await admin.keys.create({ alias, description: "Keys of enclaves of private chaincode" });
    const names = { channel: "trade", chaincode: "auction", measurement: "9B17CA9E14E69D21".repeat(4) };
    const idOf = (number: number) => createHash("sha256").update(`enclave ${number}`).digest("hex").toUpperCase();
    const hosts = await Promise.all([1, 2, 3].map(async (n) => served.server.enrol(`enclave-host-${n}`, alias)));
    for (const [index, host] of hosts.entries()) {
      using client = served.server.clientOf(host);
      const [enclave, organisation] = [idOf(index + 1), `Org${index + 1}MSP`];
      const use = { node: `enclave-host-${index + 1}`, purpose: "enclave-key", enclave, organisation, ...names };
      const { wrapped } = await client.generateDataKey({ key: alias, context: use });
      if (index === 1) await admin.keys.disable(alias);
      const asked = client.unwrap({ wrapped, context: use });
      if (index === 1) await assert.rejects(asked, { code: "REFUSED" });
      else (await asked).plaintext[Symbol.dispose]();
      if (index === 1) await admin.keys.enable(alias);
      const stands = { state: index === 1 ? "revoked" : "provisioned", generation: index === 1 ? 1 : 2 } as const;
      if (index < 2) await client.reportEnclave({ enclave, organisation, ...names, ...stands });
    }
    await signIn(page, served.url, await code("--principal", "alice"));
    await page.getByRole("link", { name: "Enclaves" }).click();
    await page.getByText("Where they stand is what their hosts reported").waitFor();
    const cellsOf = async (number: number) => {
      const row = page.locator(`tr[data-enclave="${idOf(number)}"]`);
      await row.waitFor();
      return row.locator("td").allTextContents();
    };
    const [first, second, third] = [await cellsOf(1), await cellsOf(2), await cellsOf(3)];
    assert.deepEqual(first.slice(0, 4), [
      `${idOf(1).slice(0, 16)}host: enclave-host-1`,
      "Org1MSP",
      "auctiontrade",
      "9B17CA9E14E69D21",
    ]);
    assert.match(first[4] ?? "", /^provisionedreported .*\d, \d+ s ago$/);
    assert.equal(first[5], "2");
    assert.match(first[6] ?? "", /\d.*127\.0\.0\.1$/);
    assert.match(second[4] ?? "", /^revokedreported /);
    assert.match(second[6] ?? "", /refused \(KEY_DISABLED\)$/);
    assert.equal(await page.getByText("host revoked").count(), 0);
    assert.deepEqual([third[4], third[5]], ["its host has reported nothing", "–"]);
    assert.match(third[6] ?? "", /127\.0\.0\.1$/);
    await page.locator("select[name=language]").selectOption("zh");
    await page.getByText("其状态由所在主机在所示时间上报").waitFor();
    await page.locator("select[name=language]").selectOption("en");
    for (const number of [1, 3]) await admin.nodes.revoke(`enclave-host-${number}`);
    await page.getByRole("button", { name: "Refresh" }).click();
    await page.getByText("host revoked: its enclaves do not start again").nth(1).waitFor();
    assert.equal(await page.getByText("host revoked").count(), 2, "whether it has reported or not");
    assert.equal(await page.locator(`tr[data-enclave="${idOf(1)}"] .badge.good`).count(), 0);
    await screenshot(page, "enclaves");
    assert.deepEqual(problems, []);
    await window.close();
  });

  it("revokes a node: its next unwrap is refused, and other nodes go on", async () => {
    const { context: window, page, problems } = await openPage(browser);
    await signIn(page, served.url, await code());
    assert.equal(await unwrapAs("bank-a-2"), "released");
    await page.goto(`${served.url}#nodes`);
    const row = page.locator('tr[data-node="bank-a-2"]');
    await row.getByText("alias/ledger").waitFor();
    assert.match((await row.textContent()) ?? "", /file on its disk.*127\.0\.0\.1/);
    await screenshot(page, "nodes");
    await row.getByRole("button", { name: "Revoke" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("its unwraps with alias/ledger").waitFor();
    await dialog.getByText("if it runs, it keeps its keys and runs on").waitFor();
    await screenshot(page, "revoke-node");
    await dialog.getByRole("button", { name: "Revoke" }).click();
    await page.getByRole("status").filter({ hasText: "bank-a-2 is revoked." }).waitFor();
    assert.equal(await unwrapAs("bank-a-2"), "REFUSED");
    assert.equal(await unwrapAs("bank-a-1"), "released");
    await row.getByText("revoked").waitFor();
    assert.deepEqual(problems, []);
    await window.close();
  });

  it("counts unwraps and refusals live", async () => {
    const { context: window, page, problems } = await openPage(browser);
    await signIn(page, served.url, await code());
    await page.locator(".live.on").waitFor();
    await page.locator(".chart canvas").waitFor();
    const unwraps = page.locator(".tile").filter({ hasText: "Unwraps" }).locator(".number");
    const before = Number(await unwraps.textContent());
    for (let count = 0; count < 5; count++) assert.equal(await unwrapAs("bank-a-1"), "released");
    await until(async () => Number(await unwraps.textContent()) >= before + 5);
    const cut =
      "[...document.querySelectorAll('.scroll')].filter((each) => each.scrollWidth > each.clientWidth).length";
    await page.locator("tbody tr").first().waitFor();
    assert.equal(await page.evaluate(cut), 0, "no table is cut off");
    await screenshot(page, "overview");
    assert.deepEqual(problems, []);
    await window.close();
  });

  it("searches the audit chain and verifies it", async () => {
    const { context: window, page, problems } = await openPage(browser);
    await signIn(page, served.url, await code("--principal", "alice"));
    await page.goto(`${served.url}#audit`);
    await page.locator("input[name=node]").fill("bank-a-2");
    await page.locator("input[name=action]").fill("strongroom:RevokeNode");
    await page.getByRole("button", { name: "Search" }).click();
    await until(async () => (await page.locator("tbody tr").count()) === 1);
    assert.match(
      (await page.locator("tbody tr").textContent()) ?? "",
      /user\/local-administrator.*RevokeNode.*console/,
    );
    await page.getByRole("button", { name: "Clear" }).click();
    await page.getByRole("button", { name: "Verify chain" }).click();
    await page.getByText(/The chain is whole: \d+ records/).waitFor();
    await screenshot(page, "audit");
    assert.deepEqual(problems, []);
    await window.close();
  });

  it("lets an auditor look and change nothing", async () => {
    const { context: window, page } = await openPage(browser);
    await signIn(page, served.url, await code("--principal", "alice"));
    await page.goto(`${served.url}#keys`);
    await page.locator(`tr[data-key="${key}"]`).getByRole("button", { name: "Disable" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Disable" }).click();
    await page.getByRole("dialog").getByRole("alert").filter({ hasText: "You may not do this." }).waitFor();
    assert.equal(await unwrapAs("bank-a-1"), "released");
    await window.close();
  });

  it("ends the session of a user who is disabled, on an open page", async () => {
    const { context: window, page } = await openPage(browser);
    await served.server.admin.principals.create({ name: "bob", kind: "user", role: "auditor" });
    await signIn(page, served.url, await code("--principal", "bob"));
    await page.locator(".live.on").waitFor();
    await served.server.admin.principals.disable("bob");
    await page.getByText("Your session has ended. Sign in again.").waitFor();
    await window.close();
  });

  it("switches theme and language, and keeps both", async () => {
    const { context: window, page, problems } = await openPage(browser);
    await signIn(page, served.url, await code());
    const background = () => page.evaluate("getComputedStyle(document.body).backgroundColor");
    const light = await background();
    await page.locator("select[name=theme]").selectOption("dark");
    await until(async () => (await background()) !== light);
    await page.locator("select[name=language]").selectOption("zh");
    await page.getByRole("heading", { name: "概览" }).waitFor();
    await page.locator(".live.on").waitFor();
    await screenshot(page, "overview-dark-zh");
    await page.reload();
    await page.getByRole("link", { name: "主密钥" }).click();
    await page.getByRole("heading", { name: "主密钥" }).waitFor();
    assert.equal(await page.locator("html").getAttribute("lang"), "zh-CN");
    await screenshot(page, "keys-dark-zh");
    assert.deepEqual(problems, []);
    await window.close();
  });

  it("follows the system's dark theme and language without being asked", async () => {
    const { context: window, page } = await openPage(browser, { colorScheme: "dark", locale: "zh-CN" });
    await page.goto(served.url);
    await page.getByRole("heading", { name: "登录" }).waitFor();
    assert.equal(await page.evaluate("getComputedStyle(document.body).backgroundColor"), "rgb(15, 22, 25)");
    await window.close();
  });

  it("is worked from sign-in to a disabled key by keyboard alone", async () => {
    const { context: window, page } = await openPage(browser);
    const typed = await code();
    await page.goto(served.url);
    await page.locator("input[name=code]").waitFor();
    const focused = () =>
      page.evaluate<string>('document.activeElement.tagName + ":" + document.activeElement.textContent');
    const tabTo = async (wanted: RegExp, most = 40) => {
      for (let count = 0; count < most; count++) {
        await page.keyboard.press("Tab");
        if (wanted.test(await focused())) return;
      }
      assert.fail(`Tab did not reach ${wanted}; the focus is on ${await focused()}`);
    };
    await tabTo(/^INPUT/);
    await page.keyboard.type(typed);
    await page.keyboard.press("Enter");
    await page.locator("nav").waitFor();
    await tabTo(/^A:Master keys/);
    await page.keyboard.press("Enter");
    await page.locator(`tr[data-key="${key}"]`).waitFor();
    await tabTo(/^BUTTON:Disable/);
    const outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle");
    assert.equal(outline, "solid");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    assert.equal(await focused(), "BUTTON:Cancel");
    for (let count = 0; count < 6; count++) {
      await page.keyboard.press("Tab");
      assert.match(await focused(), /^(BUTTON:(Cancel|Disable)|BODY:)/, "the focus stays in the dialog");
    }
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    assert.match(await focused(), /^BUTTON:Disable/);
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.getByRole("status").filter({ hasText: "is disabled." }).waitFor();
    await window.close();
  });

  it("shows devices with state, library, trust, sessions and what failed last, and opens none", async () => {
    const { context: window, page, problems } = await openPage(browser);
    await signIn(page, served.url, await code());
    await page.goto(`${served.url}#devices`);
    await page.getByText("No devices are named.").waitFor();
    const { admin } = served.server;
    const library = "/nowhere/libgmt0018.so";
    const card = (name: string, more = "") =>
      `[[device]]\nname = "${name}"\nkind = "sdf"\nlibrary = "${library}"\nkey_indices = [1]\n${more}`;
    const file = join(manager.dataDir, "devices.toml");
    const set = '[[device]]\nname = "cards"\nmembers = ["card-1", "card-2"]\n';
    const text = card("card-1", `library_sha256 = "${"0".repeat(64)}"\n`) + card("card-2") + set;
    writeFileSync(file, text, { mode: 0o600 });
    await page.getByRole("button", { name: "Refresh" }).click();
    await page
      .getByRole("alert")
      .filter({ hasText: "not the list of devices that an administrator trusted" })
      .waitFor();
    await admin.devices.trust(createHash("sha256").update(text).digest("hex"));
    await assert.rejects(admin.keys.create({ device: { name: "card-2", keyIndex: 1 } }));
    await page.getByRole("button", { name: "Refresh" }).click();
    const row = (name: string) => page.locator(`tr[data-device="${name}"]`);
    await row("card-1").getByText("ready").waitFor();
    await row("card-1").getByText("not opened yet").waitFor();
    await row("card-1").getByText("library pinned").waitFor();
    await row("card-2").getByText("down", { exact: true }).waitFor();
    assert.match(
      (await row("card-2").locator("td").last().textContent()) ?? "",
      /libgmt0018\.so cannot be used: ENOENT/,
    );
    assert.match((await row("cards").textContent()) ?? "", /set.*card-1, card-2.*trusted.*0 open.*0 calls wait/);
    writeFileSync(file, `${text}# another\n`);
    await page.getByRole("button", { name: "Refresh" }).click();
    await page.getByText("devices.toml is another file now").waitFor();
    await row("card-2").getByText("file changed since").waitFor();
    await screenshot(page, "devices");
    assert.deepEqual(await page.locator("main button").allTextContents(), ["Refresh"]);
    rmSync(file);
    // The list that nobody had trusted yet.
    assert.deepEqual(
      problems.filter((each) => !/status of 502/.test(each)),
      [],
    );
    await window.close();
  });

  it("loads nothing from elsewhere, and takes an integration by its five fields", async () => {
    const { context: window, page, problems } = await openPage(browser);
    const origins = new Set<string>();
    page.on("request", (request) => origins.add(new URL(request.url()).origin));
    await signIn(page, served.url, await code());
    await page.goto(`${served.url}#integrations`);
    await page.getByRole("heading", { name: "New integration" }).waitFor();
    const labels = await page.locator("form label > span").allTextContents();
    assert.deepEqual(labels, ["Name", "Region string", "API key", "API secret", "Master key"]);
    const values = [
      "bank-a",
      "eu-west-1",
      "AKIAIOSFODNN7EXAMPLE",
      "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
      "alias/ledger",
    ];
    for (const [index, value] of values.entries()) await page.locator("form input").nth(index).fill(value);
    await page.getByRole("button", { name: "Save integration" }).click();
    await page.getByRole("status").filter({ hasText: "bank-a is saved." }).waitFor();
    assert.equal(await page.locator("form input").nth(3).inputValue(), "");
    for (const [index, value] of ["bank-b", ...values.slice(1, 4)].entries())
      await page.locator("form input").nth(index).fill(value);
    await page.getByRole("button", { name: "Save integration" }).click();
    await page.getByRole("status").filter({ hasText: "bank-b is saved." }).waitFor();
    await page.locator("tr").filter({ hasText: "bank-b" }).getByText("alias/kaleido").waitFor();
    await screenshot(page, "integrations");
    assert.deepEqual([...origins], [new URL(served.url).origin]);
    assert.deepEqual(problems, []);
    await window.close();
  });

  it("shows many keys in pages, and finds one among them", async () => {
    const { admin } = served.server;
    for (let made = 0; made < 120; made++) await admin.keys.create({ alias: `alias/many-${made}` });
    const { context: window, page, problems } = await openPage(browser);
    await signIn(page, served.url, await code());
    await page.goto(`${served.url}#keys`);
    const rows = page.locator("tr[data-key]");
    const all = (await admin.keys.list()).length;
    await page.getByText(`1 to 100 of ${all}`).waitFor();
    assert.equal(await rows.count(), 100);
    assert.equal(await page.getByRole("button", { name: "Previous" }).isDisabled(), true);
    await page.getByRole("button", { name: "Next" }).click();
    await page.getByText(`101 to ${all} of ${all}`).waitFor();
    assert.equal(await rows.count(), all - 100);
    assert.equal(await page.getByRole("button", { name: "Next" }).isDisabled(), true);
    await page.getByLabel("Find").fill("alias/MANY-77");
    await page.getByText("1 to 1 of 1").waitFor();
    await rows.getByRole("button", { name: "alias/many-77" }).waitFor();
    await page.getByLabel("Find").fill("no such key");
    await page.getByText("0 to 0 of 0").waitFor();
    assert.equal(await rows.count(), 0);
    assert.deepEqual(problems, []);
    await window.close();
  });
});

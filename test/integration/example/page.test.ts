/** The example's page in a real browser, on both stacks. The screenshots stay in `.cache/screenshots/`, to be looked at. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { root } from "../../support/built.ts";
import { startBrowser, withoutChromium } from "../../support/chromium.ts";
import { eventually } from "../../support/eventually.ts";
import { type Example, STACKS, type Stack, startExample, startStack } from "./running-example.ts";

const screenshots = join(root, ".cache/screenshots");

// Chromium is no server that can be started without: see test/support/chromium.ts.
describe.skipIf(withoutChromium).each(STACKS)("the page on %s", (which) => {
  let stack: Stack;
  let example: Example;
  let browser: Browser;
  let page: Page;
  const troubles: string[] = [];

  beforeAll(async () => {
    mkdirSync(screenshots, { recursive: true });
    stack = await startStack(which);
    example = await startExample(stack.env);
    [browser] = await Promise.all([startBrowser(), example.startWorker("worker1@%h")]);
    page = await browser.newPage({ viewport: { width: 900, height: 760 } });
    page.on("pageerror", (error) => troubles.push(error.message));
    page.on("console", (message) => {
      if (message.type() === "error") troubles.push(message.text());
    });
    await page.goto(example.url);
  });
  afterAll(async () => {
    await browser?.close();
    await example?.stop();
    await stack?.stop();
  });

  const start = async (task: string, fields: Readonly<Record<string, string>>): Promise<void> => {
    await page.selectOption("select[name=task]", task);
    for (const [name, value] of Object.entries(fields)) await page.fill(`input[name=${name}]`, value);
    await page.click("button[type=submit]");
  };
  const screenshot = (what: string) =>
    page.screenshot({ path: join(screenshots, `example-${which}-${what}.png`) });
  const card = (state: string) => page.locator(`#tasks li[data-state=${state}]`).first();

  test("says that there is no task yet, and shows the fields of the chosen one", async () => {
    expect(await page.isVisible("#empty")).toBe(true);
    expect([await page.isVisible("input[name=duration]"), await page.isVisible("input[name=x]")]).toEqual([
      true,
      false,
    ]);
    await screenshot("empty");
  });

  test("a task that was started has a card with its result", async () => {
    await start("add", { x: "10", y: "20" });
    await card("SUCCESS").waitFor();
    expect(await card("SUCCESS").locator(".result").textContent()).toBe("30");
    expect(await page.isVisible("#empty")).toBe(false);
  });

  test("bad input is told and starts nothing", async () => {
    await start("add", { x: "ten", y: "20" });
    await page.waitForSelector("#error:visible");
    expect(await page.textContent("#error")).toBe("x must be a whole number from 0 to 1000000");
    expect(await page.locator("#tasks li").count()).toBe(1);
    await screenshot("error");
  });

  test("a long task has a bar that moves, and stops at the button", async () => {
    await start("long", { duration: "20" });
    await card("PROGRESS").waitFor();
    const done = async (): Promise<number> =>
      Number(await card("PROGRESS").locator("progress").getAttribute("value"));
    await eventually("the bar has moved", async () => (await done()) > 0);
    expect(await done()).toBeLessThan(1);
    await start("future", { eta: "60" });
    await card("PENDING").waitFor();
    for (const scheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme: scheme });
      await screenshot(scheme);
    }
    await card("PROGRESS").locator(".revoke").click();
    await card("REVOKED").waitFor();
    expect(await card("REVOKED").locator(".revoke").isVisible()).toBe(false);
  });

  test("after a reload the cards are there again, in their order", async () => {
    const ids = () => page.locator("#tasks .id").allTextContents();
    const before = await ids();
    await page.reload();
    await card("REVOKED").waitFor();
    expect(await ids()).toEqual(before);
    await page.setViewportSize({ width: 375, height: 760 });
    const box = await page.locator("main").boundingBox();
    expect((box?.x ?? 0) + (box?.width ?? 376)).toBeLessThanOrEqual(375);
    await screenshot("narrow");
  });

  test("nothing went wrong in the browser but the answer that was asked for", () => {
    expect(troubles.filter((text) => !text.includes("400 (Bad Request)"))).toEqual([]);
  });
});

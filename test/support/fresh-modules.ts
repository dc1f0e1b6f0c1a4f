/**
 * Unit tests share their processes, which saves a third of their time, but no state of a module: each file evaluates what it
 * imports anew.
 */
import { vi } from "vitest";

vi.resetModules();

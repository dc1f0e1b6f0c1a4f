/** Random canvases, from a seed. */
import { type Spec, w, wi } from "./canvas-spec.ts";

/** Tasks of one canvas at most. */
const MOST_TASKS = 200;

export class CanvasSource {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 on. */
  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#state / 4_294_967_296) * limit);
  }

  /** At most `depth` deep. The labels of its tasks begin with its name. */
  canvas(name: string, depth: number): Spec {
    for (;;) {
      const labels = { prefix: name, count: 0 };
      const spec = this.#spec(depth, labels);
      if (labels.count <= MOST_TASKS) return spec;
    }
  }

  #spec(depth: number, labels: { readonly prefix: string; count: number }): Spec {
    const several = (): readonly Spec[] =>
      Array.from({ length: 1 + this.below(3) }, () => this.#spec(depth - 1, labels));
    switch (depth === 0 ? 0 : this.below(6)) {
      case 3:
        return { kind: "chain", steps: several() };
      case 4:
        return { kind: "group", members: several() };
      case 5:
        return { kind: "chord", header: several(), body: this.#spec(depth - 1, labels) };
      default: {
        labels.count += 1;
        const label = `${labels.prefix}.t${labels.count}`;
        return this.below(8) === 0 ? wi(label) : w(label);
      }
    }
  }
}

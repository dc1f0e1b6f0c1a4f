export declare class Celery {
  readonly name: string;
}

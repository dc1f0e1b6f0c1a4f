/** What to do about an error, by its code: `petiole explain`, docs/errors.md, and the end of some messages of the program. */
import type { PetioleErrorCode } from "../errors.ts";

export const REMEDIES: Readonly<Record<PetioleErrorCode, string>> = {
  PET_CONFIG_INVALID:
    "Change the setting that the message names. docs/configuration.md has what each accepts.",
  PET_CONFIG_UNKNOWN: "Correct the name; petiole report lists the settings that are in effect.",
  PET_CONFIG_IN_USE: "Move the assignment in front of the first use, or give the setting to the constructor.",
  PET_URL_INVALID: "Write it as redis://user:password@host:6379/0, with special characters percent-encoded.",
  PET_PEER_MISSING: "Run the npm command of the message where the program is installed.",
  PET_APP_NOT_FOUND:
    "Export one Celery app from the module, or name one as module:export. -A wins over the environment variable CELERY_APP.",
  PET_MODULE_FAILED: "Run the module by itself (node, or npx tsx) to see the whole error.",
  PET_STEP_FAILED:
    "Mend the start of the step, or leave the step out; petiole worker --print-steps shows them all.",
  PET_TASK_NOT_REGISTERED:
    "Import the module that defines the task where the app is made, or give it with --include; petiole inspect registered shows what workers know.",
  PET_TASK_ALREADY_REGISTERED:
    "Give one of the two another name. A module that is imported twice under two paths defines its tasks twice.",
  PET_TASK_INVALID: "Change the definition as the message says.",
  PET_QUEUE_NOT_FOUND: "Add the queue to taskQueues, correct its name, or set taskCreateMissingQueues.",
  PET_ENCODE: "Send what the message suggests at that path: JSON, Date, Uint8Array, bigint.",
  PET_ARGUMENTS: "Compare the call with the parameters of the task; nothing was sent or run.",
  PET_MESSAGE_INVALID: "petiole dead list and show have the message and the reason; mend its sender.",
  PET_MESSAGE_TOO_LARGE: "Send a reference (a key, a URL) in place of the data.",
  PET_CONTENT_DISALLOWED: "Add the type to acceptContent, or let the sender use json (task_serializer).",
  PET_CODEC_UNAVAILABLE:
    "Install the package that the message names, or choose another serializer or compression.",
  PET_BROKER_UNREACHABLE:
    "Check that the server runs and that the URL is right: it is that of -b, CELERY_BROKER_URL or the app's brokerUrl.",
  PET_BROKER_REFUSED:
    "Change on the server what the message names. docs/guarantees.md has the commands that a user of Redis must be allowed.",
  PET_BACKEND:
    "Check that the server runs and that the URL is right: it is that of --result-backend, CELERY_RESULT_BACKEND or the app's resultBackend.",
  PET_DATABASE_UNREACHABLE:
    "Check that the server runs and that the URL is right: host, port, and for TLS sslmode or ssl_ca.",
  PET_DATABASE_REFUSED: "Change on the server, or in the URL, what the message names.",
  PET_SCHEMA:
    "Run petiole db migrate, or where Django owns the tables python manage.py migrate; petiole db migrate --check shows what is missing.",
  PET_BACKEND_DISABLED: "Give one with --result-backend, CELERY_RESULT_BACKEND or the app's resultBackend.",
  PET_RESULT_INCOMPLETE: "Wait for the result first, or ask with { intermediate: true }.",
  PET_RESULT_IGNORED: "Take ignoreResult from the task or the call, or do not ask.",
  PET_TIMEOUT: "The task goes on: ask again later, or wait longer with --timeout.",
  PET_CLOSED: "Close the app after its last use; make a new one to go on.",
  PET_REMOTE:
    "Read the traceback (petiole result --traceback ID) and mend the task; its caller did nothing wrong.",
  PET_RETRY: "Nothing: throw it, or let task.retry() do so. Do not catch it in the task.",
  PET_REPLACED: "Nothing: throw it, or let task.retry() do so. Do not catch it in the task.",
  PET_IGNORE: "Nothing: the task has done as it wanted.",
  PET_REJECT: "Nothing, where it was meant; the message was put back, or onto the dead list.",
  PET_TRANSACTION:
    "Do not catch the error of a statement within the transaction, or put the statement into a transaction() of its own there.",
  PET_UNSUPPORTED: "Leave out the feature that the message names.",
  PET_DAEMON:
    "Mend what the message names: a folder that is not there or not writable, a user, a port that is taken.",
  PET_RUNNING: "Stop the process that the message names, or give this one another file with --pidfile.",
  PET_FENCED:
    "Nothing is to be done. Where it comes often: for a schedule in Redis set a longer redbeatLockTimeout; for one in a SQLite file look what deletes files in the folder beside it whose name ends in -holders.",
  PET_SCHEDULE: "petiole schedule list shows the entries that there are.",
  PET_USAGE: "Write it as the message shows; petiole COMMAND --help has all words.",
  PET_NO_REPLY:
    "Look whether workers run on this broker and whether -d names them rightly; a busy one may need more time: --timeout.",
  PET_UNEXPECTED:
    "Look at the first line of the stack that is yours. Else report it, with what petiole report prints.",
};

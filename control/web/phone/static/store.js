/** What a browser keeps of its phone: the account, the settings, the history. In IndexedDB, for this origin alone. */

const KEPT = 100; // calls

function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open("nightbell-phone", 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("values");
      request.result.createObjectStore("history", { autoIncrement: true });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

let database;

async function within(store, mode, work) {
  const db = await (database ??= opened());
  return new Promise((resolve, reject) => {
    const transaction = db.transaction(store, mode);
    const request = work(transaction.objectStore(store));
    transaction.oncomplete = () => resolve(request?.result);
    transaction.onabort = () => reject(transaction.error);
  });
}

export const get = (key) => within("values", "readonly", (values) => values.get(key));
export const set = (key, value) => within("values", "readwrite", (values) => values.put(value, key));

/** Forget everything. */
export async function clear() {
  await within("values", "readwrite", (values) => values.clear());
  await within("history", "readwrite", (history) => history.clear());
}

/** The calls, the newest first. */
export async function calls() {
  return (await within("history", "readonly", (history) => history.getAll())).reverse();
}

export async function remember(call) {
  await within("history", "readwrite", (history) => history.add(call));
  const keys = await within("history", "readonly", (history) => history.getAllKeys());
  for (const key of keys.slice(0, -KEPT)) await within("history", "readwrite", (history) => history.delete(key));
}

export const forgetCalls = () => within("history", "readwrite", (history) => history.clear());

// The best rows of many.

/** As many hosts as a ranking needs: whoever asked falls through to the next when one refuses. */
export const TOP_ROWS = 32;

/** Keeps the rows with the highest keys, best first; of equal keys the one offered first. */
export class Top {
  /** Rows that are kept. */
  length: i32 = 0;
  private rows: StaticArray<i32> = new StaticArray<i32>(TOP_ROWS);
  private keys: StaticArray<i64> = new StaticArray<i64>(TOP_ROWS);

  /** Takes the row in if it is among the best so far. */
  offer(row: i32, key: i64): void {
    let at = this.length;
    if (at == TOP_ROWS) {
      if (key <= this.keys[--at]) return;
    } else {
      this.length++;
    }
    for (; at > 0 && this.keys[at - 1] < key; at--) {
      this.keys[at] = this.keys[at - 1];
      this.rows[at] = this.rows[at - 1];
    }
    this.keys[at] = key;
    this.rows[at] = row;
  }

  /** The row at a place, from 0 for the best on. */
  row(place: i32): i32 {
    return this.rows[place];
  }

  /** Its key. */
  key(place: i32): i64 {
    return this.keys[place];
  }
}

// Package catalog holds what should exist, as the controller last said it: models, aliases, storage credentials and the
// list of hosts. It owns the host's end of the sync stream and the copy of the catalog on disk.
//
// One goroutine, Client.Run, writes everything here. Readers look at an immutable Table through one atomic load, so a
// request never waits for an update, and an update never shows half of itself: a Table is replaced only when the
// controller has said that the update is complete, and a model disappears only with such an update.
//
// The controller being away changes nothing: the last Table stands, and after a restart of the host the one on disk
// stands until the controller says better.
package catalog

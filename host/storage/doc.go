// Package storage brings a model's artifact from where the user put it (a bucket, a volume) to the local disk that the
// inference server reads. It owns <models>/.cache and every directory <models>/<model id>; nothing else writes there.
//
// What holds at every moment:
//
//   - A directory <models>/<model id> is complete: it appears by one rename, after every byte of it has been checked
//     against the version that the bucket's listing named. A pull that fails or is cancelled leaves what was there.
//   - Bytes are cached per object under (place, key, version, size), so bytes that changed at one path are another
//     entry, and models that share files share disk. A materialised file is a hard link to its cache entry (0444, in
//     directories of 0555); a volume (pvc) is linked in place and never cached.
//   - Bytes cached plus bytes being fetched never exceed Config.DiskBudgetBytes. Least recently used objects give way;
//     one that a materialised model or a running pull needs does not.
//   - No credential is ever in an error, a log line, a cache key or a file.
//
// The cache key has no credential in it, so that rotating a key does not throw the cache away. A pull still lists the
// bucket with its own credentials before it is given anything.
//
// Which objects make a model follows ModelMesh's puller (kserve/modelmesh-runtime-adapter, model-serving-puller): the
// object whose key is exactly the path, or all objects below "path/"; a sibling "path-2/x" is not part of it, keys
// that end in "/" are markers and skipped. It differs in one point: an empty object is kept as an empty file
// (a Python package needs its empty __init__.py), unless other objects lie below it as if it were a directory; then it
// is a directory's marker and skipped.
//
// The host's lifecycle executor is the only caller.
package storage

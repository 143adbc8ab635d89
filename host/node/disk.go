package node

import (
	"fmt"
	"syscall"

	"github.com/wasmesh/wasmesh/host/storage"
)

// diskShare of what is free goes to the artifact cache; the rest is left to the runtime and to whoever else writes there.
const diskShare = 0.85

// diskBudget is how much of modelsDir's filesystem the artifact cache may use when nobody said.
func diskBudget(modelsDir string) (int64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(modelsDir, &fs); err != nil {
		return 0, fmt.Errorf("measure free disk of %s: %w", modelsDir, err)
	}
	cached, err := storage.CachedBytes(modelsDir)
	if err != nil {
		return 0, err
	}
	return shareOf(int64(fs.Bavail)*int64(fs.Bsize), cached), nil
}

// shareOf takes what an earlier start of this host has cached for free: it is the cache's already. Otherwise the budget
// would shrink with every restart, until models that had fitted no longer do.
func shareOf(free, cached int64) int64 {
	return int64(diskShare * float64(free+cached))
}

package node

import (
	"fmt"
	"syscall"
)

// diskShare of what is free goes to the artifact cache; the rest is left to the runtime and to whoever else writes there.
const diskShare = 0.85

// freeBytes is how much of dir's filesystem the artifact cache may use when nobody said.
func freeBytes(dir string) (int64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, fmt.Errorf("measure free disk of %s: %w", dir, err)
	}
	return int64(diskShare * float64(fs.Bavail) * float64(fs.Bsize)), nil
}

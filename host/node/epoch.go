package node

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// nextEpoch counts this host's starts, on disk: whoever hears of two hosts with one id believes the later. A counter that
// cannot be read, on a new disk for one, starts from the clock, which is past any count of starts.
func nextEpoch(dir string, now time.Time) (uint64, error) {
	path := filepath.Join(dir, "epoch")
	epoch := uint64(now.UnixMilli())
	content, err := os.ReadFile(path)
	if err == nil {
		if last, err := strconv.ParseUint(strings.TrimSpace(string(content)), 10, 64); err == nil {
			epoch = last + 1
		}
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, []byte(strconv.FormatUint(epoch, 10)+"\n"), 0o600); err != nil {
		return 0, fmt.Errorf("keep epoch: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return 0, fmt.Errorf("keep epoch: %w", err)
	}
	return epoch, nil
}

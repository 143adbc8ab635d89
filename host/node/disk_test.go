package node

import "testing"

// A restart finds its cache full. Its budget is the same as before, or what is cached would be thrown away.
func TestDiskBudgetSurvivesARestart(t *testing.T) {
	const disk = 100 << 30
	first := shareOf(disk, 0)
	if first != 85<<30 {
		t.Errorf("of an empty disk of 100 GiB the cache gets %d bytes", first)
	}
	if again := shareOf(disk-first, first); again != first {
		t.Errorf("after a restart with a full cache the budget is %d bytes, was %d", again, first)
	}
}

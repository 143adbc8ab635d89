//go:build cluster

package kubernetes

import (
	"strings"
	"testing"
	"time"
)

// TestRollingUpdateLosesNoRequest: all pods of a runtime are replaced under load, and no client of any kind notices.
func TestRollingUpdateLosesNoRequest(t *testing.T) {
	t.Parallel()
	u, models := loadedMesh(t, "rollout-update", 2)
	clients := u.startLoad(models...)
	old := u.podNames()
	u.kubectl("patch", "servingruntime", "fake", "--type=json",
		`-p=[{"op": "add", "path": "/spec/containers/0/env/-", "value": {"name": "NEWS", "value": "1"}}]`)
	u.eventually("the old pods have gone", func() bool {
		now := u.podNames()
		for name := range old {
			if now[name] {
				return false
			}
		}
		return len(now) == 2
	})
	u.untilField("deployment/modelmesh-serving-fake", ".status.updatedReplicas", "2")
	endAll(t, clients)
}

// TestDeletionOfAPod: of a pod that is deleted nobody notices; of one that is killed, those whose requests it had.
func TestDeletionOfAPod(t *testing.T) {
	t.Parallel()
	u, models := loadedMesh(t, "rollout-delete", 2)
	clients := u.startLoad(models...)
	u.deletePod()
	endAll(t, clients)

	clients = u.startLoad(models...)
	u.deletePod("--grace-period=0", "--force")
	for _, l := range clients {
		report := l.end()
		var last, first time.Time
		for i, f := range report.Failed {
			t.Logf("%s: sent at %s, after %v: %s", l.kind, f.Sent.Format(time.StampMilli), f.Ended.Sub(f.Sent), f.Error)
			if i == 0 || f.Sent.After(last) {
				last = f.Sent
			}
			if i == 0 || f.Ended.Before(first) {
				first = f.Ended
			}
		}
		// What is in flight on one host at one moment was all sent before any of it failed.
		if lag := last.Sub(first); len(report.Failed) > 0 && lag > 0 {
			t.Errorf("%s: %d of %d requests failed, one of which was sent %v after another had", l.kind, len(report.Failed), report.Sent, lag)
		}
	}
}

// deletePod deletes one of two pods, and returns when it has gone and there are two again.
func (u *user) deletePod(flags ...string) {
	u.t.Helper()
	var pod string
	for pod = range u.podNames() {
		break
	}
	u.kubectl(append([]string{"delete", "pod", pod, "--timeout=3m"}, flags...)...)
	u.eventually("there are two pods again", func() bool { return len(u.podNames()) == 2 })
	u.untilField("deployment/modelmesh-serving-fake", ".status.readyReplicas", "2")
}

// podNames are those of the mesh's pods that are there, also on their way out.
func (u *user) podNames() map[string]bool {
	u.t.Helper()
	names := map[string]bool{}
	for name := range strings.FieldsSeq(u.kubectl("get", "pods", "-l", "modelmesh-service=modelmesh-serving", "-o", "jsonpath={.items[*].metadata.name}")) {
		names[name] = true
	}
	return names
}

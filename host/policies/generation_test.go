package policies

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/hook"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/hooktest"
)

// Two ConfigMaps with the same content make one generation. It goes by the name of the one that has the hook now.
func TestSameGenerationOfAnotherPolicy(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := &controller{}
		h := start(t, t.TempDir(), c, true)
		g := c.add(hooktest.Module{})
		h.apply(plan(1, as(active, g)))
		other := clone(g)
		other.Policy = "other-policy"
		h.apply(plan(2, as(active, other)))
		h.expect(other, isActive)
		h.evict()
		if by := h.Evict.Records(hook.Filter{Limit: 1})[0].GetGeneration().GetPolicy(); by != "other-policy" {
			t.Errorf("recorded as decided by %q", by)
		}
		if got := scrape(t, h.registry); got[`wasmesh_policy_generation_info{generation="`+g.GetId()+`",hook="evict",policy="other-policy"}`] != 1 {
			t.Errorf("metrics %v", got)
		}
		if c.fetches != 1 || h.engine.Programs() != 1 {
			t.Errorf("%d fetches, %d programs; want one each", c.fetches, h.engine.Programs())
		}
	})
}

// A module that is damaged on the disk is fetched again, and mended there.
func TestDamagedModuleOnDisk(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		dir, c := t.TempDir(), &controller{}
		g := c.add(hooktest.Module{})
		h := start(t, dir, c, true)
		h.apply(plan(1, as(active, g)))
		h.stop()
		path := filepath.Join(dir, "policies", moduleName(g))
		if err := os.WriteFile(path, []byte("damaged"), 0o644); err != nil {
			t.Fatal(err)
		}
		h = start(t, dir, c, true)
		h.expect(g, isActive)
		h.stop()
		h = start(t, dir, c, false)
		if _, by := h.evict(); by != g.GetId() {
			t.Errorf("decided by %q, want %q from the mended disk", by, g.GetId())
		}
	})
}

// A report fits into a message, however much there is to say of a generation.
func TestReportIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		c := &controller{}
		h := start(t, t.TempDir(), c, true)
		g := c.addBytes(hooktest.Module{}.Wasm(), policyabi.HookStatus)
		g.Policy = "x" + strings.Repeat("\u00fc", 1<<20)
		h.apply(plan(1, as(candidate, g)))
		entry := h.expect(g, failed)
		if n := len(entry.GetMessage()); n > maxMessage+10 || !strings.Contains(entry.GetMessage(), "policy xü") {
			t.Errorf("a message of %d bytes", n)
		}
		if _, err := proto.Marshal(entry); err != nil {
			t.Error(err)
		}
	})
}

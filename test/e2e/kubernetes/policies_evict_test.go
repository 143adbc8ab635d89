//go:build cluster

package kubernetes

import (
	"fmt"
	"slices"
	"testing"
)

// policyRoom is how many models fit beside the steady one where evictions are looked at.
const policyRoom = 3

// A ConfigMap says who goes when memory is short: with evict-lru the model that was used often, but longest ago; with
// evict-gdsf, one that was used little. A status policy then says what Ready means.
func TestEvictionAndStatusPolicies(t *testing.T) {
	p := newPolicyMesh(t, "policies-evict", 1, policyRoom*policyModelBytes+2*policySteadyBytes)
	flow := p.startFlow()
	lru, file := p.policyFile("p-lru", shippedPolicy("evict-lru"))
	p.activate(lru, file)
	p.untilProgrammed(lru, "evict")
	models, gone := p.fill("lru")
	if gone != models[0] {
		t.Errorf("evict-lru had %s go, want %s", gone, models[0])
	}
	p.kubectl(append([]string{"delete", "isvc"}, models...)...)

	gdsf, file := p.policyFile("p-gdsf", shippedPolicy("evict-gdsf"))
	p.activate(gdsf, file, "--server-side")
	p.untilProgrammed(gdsf, "evict")
	models, gone = p.fill("gdsf")
	if gone == models[0] {
		t.Errorf("evict-gdsf had %s go, which was used most", gone)
	}
	p.deactivate(gdsf)
	p.untilProgrammed(lru, "evict")
	p.deactivate(lru)
	p.untilEvent(lru, "PolicyRemoved", "the built-in policy cost-aware decides")

	p.checkStrictStatus(gone, models)
	flow.end(t)
}

// fill takes all memory for models of which the first is used often and the others once, in this order, and then asks for
// one more. It answers all of them, and which went for the last.
func (p *policyMesh) fill(prefix string) (models []string, gone string) {
	p.t.Helper()
	const often = 200
	for i := range policyRoom {
		name := fmt.Sprint(prefix, "-", i+1)
		models = append(models, name)
		p.addModel(name, policyModelBytes)
		p.untilField("isvc/"+name, stateOf, "Loaded")
	}
	for i, name := range models {
		for range []int{often, 1}[min(i, 1)] {
			p.where(name)
		}
	}
	last := prefix + "-last"
	p.addModel(last, policyModelBytes)
	p.where(last)
	p.untilField("isvc/"+last, stateOf, "Loaded")
	p.eventually("a model goes for "+last, func() bool {
		at := slices.IndexFunc(models, func(name string) bool { return p.field("isvc/"+name, stateOf) == "Standby" })
		if at >= 0 {
			gone = models[at]
		}
		return at >= 0
	})
	p.t.Logf("%s went for %s", gone, last)
	return append(models, last), gone
}

// checkStrictStatus: a model in Standby, Ready for ModelMesh, is not Ready for status-strict until it is loaded.
func (p *policyMesh) checkStrictStatus(standby string, all []string) {
	p.t.Helper()
	p.untilField("isvc/"+standby, isReady, "True")
	strict, file := p.policyFile("p-strict", shippedPolicy("status-strict"))
	p.activate(strict, file)
	p.untilField("isvc/"+standby, isReady, "False")
	p.untilField("isvc/"+all[len(all)-1], isReady, "True")
	p.where(standby)
	p.untilField("isvc/"+standby, isReady, "True")
	p.untilEvent(strict, "PolicyProgrammed", "status: programmed 1/1")
	p.t.Logf("%s: %s", strict, p.policyStatus(strict))
	p.deactivate(strict)
	for _, name := range append(all, policySteady) {
		p.untilField("isvc/"+name, isReady, "True")
	}
}

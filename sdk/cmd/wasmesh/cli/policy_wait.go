package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/author"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
)

// noHostPatience is how long hosts may take to connect, while the mesh knows of none that could try the policy.
const noHostPatience = 10 * time.Second

// pollPolicies is how often a policy is looked at that was just written.
const pollPolicies = 200 * time.Millisecond

// uptake follows what the mesh makes of a policy that was written.
type uptake struct {
	client   *client
	manifest author.Manifest
	out      io.Writer
	// before is what the mesh said of the policy before it was written, one entry for each hook.
	before []*policy
	// removal is the command that deletes the ConfigMap, when it was there as it is before.
	removal string
	// unasked: the controller cannot be reached, and will not be by waiting.
	unasked bool
}

// entries answers what the mesh says of the policy now.
func (u *uptake) entries(ctx context.Context) ([]*policy, error) {
	answer, err := u.client.ListPolicies(ctx, &adminv1.ListPoliciesRequest{})
	u.unasked = status.Code(err) == codes.Unavailable && !u.client.returns()
	if err != nil {
		return nil, err
	}
	return keep(answer.GetPolicies(), func(p *policy) bool { return p.GetName() == u.manifest.Name }), nil
}

// lookBefore is for the moment before the policy is written: without it, what the mesh still says of the one before would
// be taken for news. A mesh that does not answer has said nothing.
func (u *uptake) lookBefore(ctx context.Context) {
	_ = u.client.patiently(ctx, func() (err error) {
		u.before, err = u.entries(ctx)
		return err
	})
}

// follow waits until the mesh has taken the policy up, at the latest until ctx ends, and says what became of it. The error
// says that it is not used, or that nothing was seen of it.
func (u *uptake) follow(ctx context.Context) error {
	var seen []*policy
	for started := time.Now(); ; {
		if now, err := u.entries(ctx); err == nil && len(now) > 0 {
			seen = now
		}
		if u.settled(seen) {
			return u.tell(seen)
		}
		if u.unasked {
			return fmt.Errorf("what becomes of policy %s cannot be seen: %w; the ConfigMap's annotation wasmesh.dev/policy-status tells it, too",
				u.manifest.Name, u.client.absent())
		}
		if len(seen) > 0 && hostsOfPolicies(seen) == 0 && time.Since(started) > noHostPatience {
			return u.unsettled(seen)
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return u.unsettled(seen)
			}
			return ctx.Err()
		case <-time.After(pollPolicies):
		}
	}
}

// settled: the entries are about what was written, and nothing is on its way.
func (u *uptake) settled(entries []*policy) bool {
	for _, p := range entries {
		if p.GetPhase() == adminv1.PolicyPhase_POLICY_PHASE_PENDING || !u.isOurs(p) && u.stood(p) {
			return false
		}
	}
	return len(entries) > 0
}

// isOurs: the entry is of the very module and configuration that were written.
func (u *uptake) isOurs(p *policy) bool {
	other := adminv1.PolicyPhase_POLICY_PHASE_SHADOW
	if u.manifest.Shadow {
		other = adminv1.PolicyPhase_POLICY_PHASE_PROGRAMMED
	}
	digest := sha256.Sum256(u.manifest.Module)
	g := p.GetGeneration()
	return bytes.Equal(g.GetModuleDigest(), digest[:]) && string(g.GetConfig()) == u.manifest.Config && p.GetPhase() != other
}

// stood: the mesh said the same before anything was written.
func (u *uptake) stood(p *policy) bool {
	for _, b := range u.before {
		if b.GetHook() == p.GetHook() && b.GetPhase() == p.GetPhase() && b.GetMessage() == p.GetMessage() && b.GetSinceMs() == p.GetSinceMs() &&
			proto.Equal(b.GetGeneration(), p.GetGeneration()) {
			return true
		}
	}
	return false
}

// tell says what became of each hook.
func (u *uptake) tell(entries []*policy) error {
	refused, suspended := false, false
	for _, p := range entries {
		line := phase(p.GetPhase())
		switch p.GetPhase() {
		case adminv1.PolicyPhase_POLICY_PHASE_PROGRAMMED, adminv1.PolicyPhase_POLICY_PHASE_SHADOW:
			line += fmt.Sprintf(" on %d of %d hosts", p.GetProgrammed(), p.GetHosts())
		case adminv1.PolicyPhase_POLICY_PHASE_INVALID, adminv1.PolicyPhase_POLICY_PHASE_ROLLED_BACK:
			refused = true
		case adminv1.PolicyPhase_POLICY_PHASE_SUSPENDED:
			suspended = true
		}
		if p.GetHook() != "" {
			line = p.GetHook() + ": " + line
		}
		if p.GetMessage() != "" {
			line += ": " + p.GetMessage()
		}
		fmt.Fprintln(u.out, line)
	}
	if suspended && u.removal != "" {
		fmt.Fprintf(u.out, "It decides again once its ConfigMap has been deleted and made anew: `%s`, then apply it again.\n", u.removal)
	}
	if refused {
		return fmt.Errorf("policy %s is not used: what decided before decides on; `wasmesh policy status` shows it", u.manifest.Name)
	}
	return nil
}

// unsettled is when the time is up.
func (u *uptake) unsettled(entries []*policy) error {
	switch {
	case len(entries) == 0:
		return fmt.Errorf("the mesh has not taken policy %s up so far: `wasmesh policy status` shows whether it does", u.manifest.Name)
	case hostsOfPolicies(entries) == 0:
		return fmt.Errorf("policy %s is pending: it is tried on hosts, and none is connected; `wasmesh get hosts` shows them", u.manifest.Name)
	}
	return fmt.Errorf("policy %s is still being taken up: `wasmesh policy status -o wide` shows how far it is", u.manifest.Name)
}

// hostsOfPolicies is how many hosts are connected.
func hostsOfPolicies(entries []*policy) (hosts uint32) {
	for _, p := range entries {
		hosts = max(hosts, p.GetHosts())
	}
	return hosts
}

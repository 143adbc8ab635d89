package policies

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/wasmesh/wasmesh/controller/policyconfig"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/builtin"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/hook"
)

// maxModuleBytes of an uncompressed module: what the engine takes.
const maxModuleBytes = 16 << 20

// trialRecorderBytes is the least a hook can have that records nothing: those of the verifier only try programs.
const trialRecorderBytes = 1 << 10

// knownHooks are the hooks that a policy may decide, in the order in which people read them.
func knownHooks() []policyabi.Hook {
	return []policyabi.Hook{policyabi.HookPlace, policyabi.HookEvict, policyabi.HookStatus}
}

// verifier finds out whether a declaration is a policy: it inflates, compiles, and tries it with the conformance set.
type verifier struct {
	engine *engine.Engine
	// trials has a hook of each kind, that decides nothing.
	trials map[policyabi.Hook]*hook.Hook
}

func newVerifier(e *engine.Engine) (*verifier, error) {
	v := &verifier{engine: e, trials: map[policyabi.Hook]*hook.Hook{}}
	for _, h := range knownHooks() {
		trial, err := hook.New(hook.Config{Hook: h, BuiltIn: builtin.Default(h), RecorderBytes: trialRecorderBytes})
		if err != nil {
			v.close()
			return nil, err
		}
		v.trials[h] = trial
	}
	return v, nil
}

func (v *verifier) close() {
	for _, trial := range v.trials {
		trial.Close()
	}
}

// verify answers nil when the context ended first. It takes up to some seconds.
func (v *verifier) verify(ctx context.Context, d policyconfig.Declaration) *policyconfig.Verdict {
	verdict, err := v.try(ctx, d)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return &policyconfig.Verdict{Fault: fault(d, err)}
	}
	return verdict
}

// fault is what the owner of the ConfigMap reads: it begins with what is theirs.
func fault(d policyconfig.Declaration, err error) string {
	text := err.Error()
	var refused *engine.Refusal
	if errors.As(err, &refused) {
		text = fmt.Sprintf("refused (%s): %s", refused.Rule, refused.Detail)
	}
	return fmt.Sprintf("ConfigMap %s: %s: %s", d.Name, d.Key, text)
}

func (v *verifier) try(ctx context.Context, d policyconfig.Declaration) (*policyconfig.Verdict, error) {
	module, err := open(d.Stored)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(module)
	if got := hex.EncodeToString(digest[:]); d.SHA256 != "" && d.SHA256 != got {
		return nil, fmt.Errorf("the uncompressed module has SHA-256 %s, and data.sha256 says %s", got, d.SHA256)
	}
	program, err := v.engine.Compile(ctx, engine.Source{Name: d.Name, Module: module, Config: d.Config})
	if err != nil {
		return nil, err
	}
	defer program.Release()
	verdict := &policyconfig.Verdict{Digest: digest[:], ModuleBytes: uint64(len(module)), Faults: map[string]string{}}
	for _, h := range knownHooks() {
		name := h.String()
		if len(d.Hooks) > 0 && !slices.Contains(d.Hooks, name) || len(d.Hooks) == 0 && !program.Implements(h) {
			continue
		}
		verdict.Hooks = append(verdict.Hooks, name)
		if _, err := v.trials[h].Preflight(ctx, program); err != nil {
			verdict.Faults[name] = fault(d, err)
		}
	}
	if len(verdict.Hooks) == 0 {
		return nil, fmt.Errorf("it implements no hook that this controller knows: %s", strings.Join(names(program.Info().Hooks), ", "))
	}
	return verdict, nil
}

// open is policyconfig.Config.Open.
func open(stored []byte) ([]byte, error) { return engine.Inflate(stored, maxModuleBytes) }

func names(hooks []policyabi.Hook) []string {
	all := make([]string, len(hooks))
	for i, h := range hooks {
		all[i] = h.String()
	}
	return all
}

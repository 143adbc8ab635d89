package builtin

import "github.com/wasmesh/wasmesh/sdk/policyabi"

// Policy is one built-in policy. It keeps nothing between calls and is safe for concurrent use.
type Policy struct {
	// Name is unique within the hook, and the second half of its twin's folder: "cost-aware" of evict-cost-aware.
	Name string
	Hook policyabi.Hook
	// Decide reads an encoded request and writes the answer into its response area, as a module does in its own memory. It
	// answers the bytes written, none when there is nothing to say. Errors wrap policyabi.ErrRequest.
	Decide func(request []byte) (answer []byte, err error)
}

// Default is the policy of a hook for which no module is active; the zero Policy for a hook that has none.
func Default(hook policyabi.Hook) Policy {
	switch hook {
	case policyabi.HookPlace:
		return Policy{Name: "balanced", Hook: hook, Decide: decideBalanced}
	case policyabi.HookEvict:
		return Policy{Name: "cost-aware", Hook: hook, Decide: decideCostAware}
	case policyabi.HookStatus:
		return Policy{Name: "modelmesh", Hook: hook, Decide: decideModelMesh}
	}
	return Policy{}
}

// ByName finds one; false when there is none of that name.
func ByName(hook policyabi.Hook, name string) (Policy, bool) {
	if hook == policyabi.HookEvict {
		switch name {
		case "lru":
			return Policy{Name: name, Hook: hook, Decide: decideLRU}, true
		case "gdsf":
			return Policy{Name: name, Hook: hook, Decide: decideGDSF}, true
		}
	}
	p := Default(hook)
	return p, name != "" && p.Name == name
}

// Each of the following calls its policy directly: through a function value the answers would escape to the heap.

func decideBalanced(request []byte) ([]byte, error) {
	v, err := policyabi.ViewPlace(request)
	if err != nil {
		return nil, err
	}
	a := v.Answers()
	PlaceBalanced(v, &a)
	return a.Bytes(), nil
}

func decideCostAware(request []byte) ([]byte, error) {
	v, err := policyabi.ViewEvict(request)
	if err != nil {
		return nil, err
	}
	a := v.Answers()
	EvictCostAware(v, &a)
	return a.Bytes(), nil
}

func decideLRU(request []byte) ([]byte, error) {
	v, err := policyabi.ViewEvict(request)
	if err != nil {
		return nil, err
	}
	a := v.Answers()
	EvictLRU(v, &a)
	return a.Bytes(), nil
}

func decideGDSF(request []byte) ([]byte, error) {
	v, err := policyabi.ViewEvict(request)
	if err != nil {
		return nil, err
	}
	a := v.Answers()
	EvictGDSF(v, &a)
	return a.Bytes(), nil
}

func decideModelMesh(request []byte) ([]byte, error) {
	v, err := policyabi.ViewStatus(request)
	if err != nil {
		return nil, err
	}
	a := v.Answers()
	StatusModelMesh(v, &a)
	return a.Bytes(), nil
}

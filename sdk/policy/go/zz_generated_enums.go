// Code generated from abi.yaml by sdk/policyabi/internal/generate. DO NOT EDIT.

package policy

import "strconv"

// Hook: What a policy decides. 0 is nothing or unknown.
type Hook uint16

const (
	HookPlace  Hook = 1 // ranks hosts for a load
	HookEvict  Hook = 2 // says how much each copy is worth keeping
	HookStatus Hook = 3 // says how the status of an object reads
	HookRoute  Hook = 4 // reserved
	HookScale  Hook = 5 // reserved
)

// String is the word, or the number of one that this version does not know.
func (v Hook) String() string {
	switch v {
	case 0:
		return ""
	case HookPlace:
		return "place"
	case HookEvict:
		return "evict"
	case HookStatus:
		return "status"
	case HookRoute:
		return "route"
	case HookScale:
		return "scale"
	}
	return strconv.Itoa(int(v))
}

// Purpose: Why a copy is to be loaded, or memory to be found. 0 is nothing or unknown.
type Purpose uint16

const (
	PurposeMiss       Purpose = 1 // a request waits
	PurposeScale      Purpose = 2 // the copies there are are too busy
	PurposeDrain      Purpose = 3 // a host that leaves hands it over
	PurposeMinCopies  Purpose = 4 // the owner asked for more copies than there are
	PurposeRebalance  Purpose = 5 // evicted elsewhere though still useful
	PurposeBackground Purpose = 6 // new, changed or on standby, and no request waits
	PurposeWorth      Purpose = 7 // nothing is loaded: the keep-values are wanted for a host's reclaim curve
)

// String is the word, or the number of one that this version does not know.
func (v Purpose) String() string {
	switch v {
	case 0:
		return ""
	case PurposeMiss:
		return "Miss"
	case PurposeScale:
		return "Scale"
	case PurposeDrain:
		return "Drain"
	case PurposeMinCopies:
		return "MinCopies"
	case PurposeRebalance:
		return "Rebalance"
	case PurposeBackground:
		return "Background"
	case PurposeWorth:
		return "Worth"
	}
	return strconv.Itoa(int(v))
}

// Reason: Why a policy answered what it answered, for people. Policies may use values from 1000 on for reasons of their own. 0 is nothing or unknown.
type Reason uint16

const (
	ReasonFree        Reason = 1  // enough memory is free
	ReasonLeastLost   Reason = 2  // what has to go there is worth least
	ReasonZone        Reason = 3  // its zone has fewer copies
	ReasonPacked      Reason = 4  // it is the fullest that still has room
	ReasonWarming     Reason = 5  // it has just started
	ReasonBusy        Reason = 6  // it has many loads or requests
	ReasonHasCopy     Reason = 7  // it has a copy already
	ReasonExcluded    Reason = 8  // it is leaving, or the asker excluded it
	ReasonTooSmall    Reason = 9  // it could never hold the model
	ReasonRecency     Reason = 10 // by when it was last used
	ReasonRate        Reason = 11 // by how often it is used, what a reload costs, and its size
	ReasonFresh       Reason = 12 // it was loaded a moment ago
	ReasonPriority    Reason = 13 // its owner gave it another priority
	ReasonFrequency   Reason = 14 // by how often it was used since its load
	ReasonOldestCache Reason = 15 // what has to go there was unused for longest
)

// String is the word, or the number of one that this version does not know.
func (v Reason) String() string {
	switch v {
	case 0:
		return ""
	case ReasonFree:
		return "Free"
	case ReasonLeastLost:
		return "LeastLost"
	case ReasonZone:
		return "Zone"
	case ReasonPacked:
		return "Packed"
	case ReasonWarming:
		return "Warming"
	case ReasonBusy:
		return "Busy"
	case ReasonHasCopy:
		return "HasCopy"
	case ReasonExcluded:
		return "Excluded"
	case ReasonTooSmall:
		return "TooSmall"
	case ReasonRecency:
		return "Recency"
	case ReasonRate:
		return "Rate"
	case ReasonFresh:
		return "Fresh"
	case ReasonPriority:
		return "Priority"
	case ReasonFrequency:
		return "Frequency"
	case ReasonOldestCache:
		return "OldestCache"
	}
	return strconv.Itoa(int(v))
}

// ModelState: State of a model in a status, in the order of ModelMesh's words. 0 is nothing or unknown.
type ModelState uint16

const (
	ModelStatePending      ModelState = 1 // nobody has taken note of it
	ModelStateStandby      ModelState = 2 // no copy is in memory; the next request loads it
	ModelStateLoading      ModelState = 3 // a copy is on its way
	ModelStateLoaded       ModelState = 4 // a copy is in memory
	ModelStateFailedToLoad ModelState = 5 // no copy could be loaded
)

// String is the word, or the number of one that this version does not know.
func (v ModelState) String() string {
	switch v {
	case 0:
		return ""
	case ModelStatePending:
		return "Pending"
	case ModelStateStandby:
		return "Standby"
	case ModelStateLoading:
		return "Loading"
	case ModelStateLoaded:
		return "Loaded"
	case ModelStateFailedToLoad:
		return "FailedToLoad"
	}
	return strconv.Itoa(int(v))
}

// Transition: How far an object is from its spec. 0 is nothing or unknown.
type Transition uint16

const (
	TransitionUpToDate            Transition = 1 // the model of the spec answers
	TransitionInProgress          Transition = 2 // the model of the changed spec is on its way
	TransitionBlockedByFailedLoad Transition = 3 // the model of the changed spec failed to load
	TransitionInvalidSpec         Transition = 4 // no model can be made of the spec
)

// String is the word, or the number of one that this version does not know.
func (v Transition) String() string {
	switch v {
	case 0:
		return ""
	case TransitionUpToDate:
		return "UpToDate"
	case TransitionInProgress:
		return "InProgress"
	case TransitionBlockedByFailedLoad:
		return "BlockedByFailedLoad"
	case TransitionInvalidSpec:
		return "InvalidSpec"
	}
	return strconv.Itoa(int(v))
}

// Failure: What is wrong with a model. 0 is nothing or unknown.
type Failure uint16

const (
	FailureModelLoadFailed      Failure = 1 // storage, credentials or the model itself
	FailureRuntimeUnhealthy     Failure = 2 // no runtime that supports it is up
	FailureRuntimeNotRecognized Failure = 3 // the runtime it names does not exist
	FailureNoSupportingRuntime  Failure = 4 // no declared runtime supports its format
	FailureInvalidPredictorSpec Failure = 5 // its spec is wrong
	FailureRuntimeDisabled      Failure = 6 // the runtime it names is disabled
)

// String is the word, or the number of one that this version does not know.
func (v Failure) String() string {
	switch v {
	case 0:
		return ""
	case FailureModelLoadFailed:
		return "ModelLoadFailed"
	case FailureRuntimeUnhealthy:
		return "RuntimeUnhealthy"
	case FailureRuntimeNotRecognized:
		return "RuntimeNotRecognized"
	case FailureNoSupportingRuntime:
		return "NoSupportingRuntime"
	case FailureInvalidPredictorSpec:
		return "InvalidPredictorSpec"
	case FailureRuntimeDisabled:
		return "RuntimeDisabled"
	}
	return strconv.Itoa(int(v))
}

// LogLevel: Of mesh_v1.log. 0 is nothing or unknown.
type LogLevel uint16

const (
	LogLevelDebug LogLevel = 1
	LogLevelInfo  LogLevel = 2
	LogLevelWarn  LogLevel = 3
	LogLevelError LogLevel = 4
)

// String is the word, or the number of one that this version does not know.
func (v LogLevel) String() string {
	switch v {
	case 0:
		return ""
	case LogLevelDebug:
		return "Debug"
	case LogLevelInfo:
		return "Info"
	case LogLevelWarn:
		return "Warn"
	case LogLevelError:
		return "Error"
	}
	return strconv.Itoa(int(v))
}

// CallError: Why a module could not decide; a hook returns its negative. Modules may use values from 1000 on for reasons of their own. 0 is nothing or unknown.
type CallError uint16

const (
	CallErrorMalformed CallError = 1 // the request is not one
	CallErrorVersion   CallError = 2 // the request is of another major version
	CallErrorHook      CallError = 3 // the request is for another hook
	CallErrorConfig    CallError = 4 // the configuration is not understood
)

// String is the word, or the number of one that this version does not know.
func (v CallError) String() string {
	switch v {
	case 0:
		return ""
	case CallErrorMalformed:
		return "Malformed"
	case CallErrorVersion:
		return "Version"
	case CallErrorHook:
		return "Hook"
	case CallErrorConfig:
		return "Config"
	}
	return strconv.Itoa(int(v))
}

// RequestFlag: Header.flags.
type RequestFlag uint16

const (
	RequestFlagShadow    RequestFlag = 1 << 0 // the answer is compared and not used
	RequestFlagReplay    RequestFlag = 1 << 1 // a recorded decision is asked again
	RequestFlagPreflight RequestFlag = 1 << 2 // the generation is being tried before it is used
)

// Has says whether all of these flags are set.
func (f RequestFlag) Has(flags RequestFlag) bool { return f&flags == flags }

// String is the words of the set flags with | between, and the number of the rest.
func (f RequestFlag) String() string {
	return flagString(uint32(f), []string{0: "Shadow", 1: "Replay", 2: "Preflight"})
}

// ModelFlag: PlaceContext.flags and EvictContext.flags.
type ModelFlag uint16

const (
	ModelFlagPinned   ModelFlag = 1 << 0 // never evicted
	ModelFlagDeclared ModelFlag = 1 << 1 // the size is the owner's word, not an estimate
)

// Has says whether all of these flags are set.
func (f ModelFlag) Has(flags ModelFlag) bool { return f&flags == flags }

// String is the words of the set flags with | between, and the number of the rest.
func (f ModelFlag) String() string {
	return flagString(uint32(f), []string{0: "Pinned", 1: "Declared"})
}

// HostFlag: PlaceRow.flags.
type HostFlag uint32

const (
	HostFlagDraining  HostFlag = 1 << 0 // leaves the mesh
	HostFlagWarming   HostFlag = 1 << 1 // has joined a moment ago
	HostFlagSameZone  HostFlag = 1 << 2 // in the zone of the host that asks
	HostFlagHasCopy   HostFlag = 1 << 3 // holds, queues or loads the model
	HostFlagExcluded  HostFlag = 1 << 4 // failed to load the model a moment ago, or is to be relieved of it
	HostFlagSelf      HostFlag = 1 << 5 // the host that asks
	HostFlagPreferred HostFlag = 1 << 6 // its runtime is the model's first choice
)

// Has says whether all of these flags are set.
func (f HostFlag) Has(flags HostFlag) bool { return f&flags == flags }

// String is the words of the set flags with | between, and the number of the rest.
func (f HostFlag) String() string {
	return flagString(uint32(f), []string{0: "Draining", 1: "Warming", 2: "SameZone", 3: "HasCopy", 4: "Excluded", 5: "Self", 6: "Preferred"})
}

// CopyFlag: EvictRow.flags. A copy with Pinned, Loading or InFlight is never evicted, whatever it is said to be worth.
type CopyFlag uint16

const (
	CopyFlagPinned   CopyFlag = 1 << 0 // its owner forbids to evict it
	CopyFlagLoading  CopyFlag = 1 << 1 // it is not loaded yet
	CopyFlagInFlight CopyFlag = 1 << 2 // it answers requests now
)

// Has says whether all of these flags are set.
func (f CopyFlag) Has(flags CopyFlag) bool { return f&flags == flags }

// String is the words of the set flags with | between, and the number of the rest.
func (f CopyFlag) String() string {
	return flagString(uint32(f), []string{0: "Pinned", 1: "Loading", 2: "InFlight"})
}

// StatusFlag: StatusContext.flags.
type StatusFlag uint32

const (
	StatusFlagHomeless StatusFlag = 1 << 0 // there is no model, and there never was one
	StatusFlagReached  StatusFlag = 1 << 1 // every host has reported: what is not told of does not exist
)

// Has says whether all of these flags are set.
func (f StatusFlag) Has(flags StatusFlag) bool { return f&flags == flags }

// String is the words of the set flags with | between, and the number of the rest.
func (f StatusFlag) String() string {
	return flagString(uint32(f), []string{0: "Homeless", 1: "Reached"})
}

// RevisionFlag: StatusRow.flags.
type RevisionFlag uint16

const (
	RevisionFlagTarget     RevisionFlag = 1 << 0 // the model of the changed spec; else the one that answers
	RevisionFlagRefused    RevisionFlag = 1 << 1 // failed on a host before, and has not been loaded since
	RevisionFlagConsidered RevisionFlag = 1 << 2 // every ready host of a runtime that supports it knows it
)

// Has says whether all of these flags are set.
func (f RevisionFlag) Has(flags RevisionFlag) bool { return f&flags == flags }

// String is the words of the set flags with | between, and the number of the rest.
func (f RevisionFlag) String() string {
	return flagString(uint32(f), []string{0: "Target", 1: "Refused", 2: "Considered"})
}

// flagString names bits by their index.
func flagString(set uint32, names []string) string {
	var text []byte
	for bit, name := range names {
		if name == "" || set&(1<<bit) == 0 {
			continue
		}
		set &^= 1 << bit
		text = append(append(text, name...), '|')
	}
	if set != 0 {
		text = append(strconv.AppendUint(append(text, "0x"...), uint64(set), 16), '|')
	}
	return string(text[:max(len(text)-1, 0)])
}

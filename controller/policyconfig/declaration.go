package policyconfig

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Label marks a ConfigMap as a policy, with the value "true".
const Label = "wasmesh.dev/policy"

// Keys of a policy's data, and the ends of the one key of its binaryData.
const (
	keyConfig = "config"
	keyHooks  = "hooks"
	keySHA256 = "sha256"
	keyMode   = "mode"

	endModule     = ".wasm"
	endModuleGzip = ".wasm.gz"
)

// maxConfigBytes of data.config: all that a ConfigMap can hold in a cluster.
const maxConfigBytes = 1 << 20

// Values of data.mode.
const (
	modeActive = "active"
	modeShadow = "shadow"
)

// Declaration is what one ConfigMap says. Its strings and bytes are the ConfigMap's own.
type Declaration struct {
	// Name of the ConfigMap; with "<namespace>/" before it when that is not the namespace of the mesh.
	Name string
	// Key of the module in binaryData, and what it holds: a module, or one compressed by gzip.
	Key    string
	Stored []byte
	// Config is what mesh_configure is given.
	Config []byte
	// Hooks that it is for; empty is every hook that the module exports.
	Hooks []string
	// SHA256 that the uncompressed module must have, in lower-case hex; empty when it was not said.
	SHA256 string
	// Shadow: it is asked beside the policy that decides, and its answers are compared and dropped.
	Shadow bool
	// Revision is a digest of everything that the ConfigMap says.
	Revision string
	// Fault says why no policy can be made of it; empty for none.
	Fault string
}

// Verdict is what became of verifying one revision of a Declaration.
type Verdict struct {
	// Fault says why it cannot be used for anything; empty when it can. It names the module, the rule, and the offending
	// import, opcode or limit.
	Fault string
	// Digest is SHA-256 of the uncompressed module, and ModuleBytes its size. The module itself is not kept: of most
	// policies that there are, nobody needs it. Both are zero with a Fault.
	Digest      []byte
	ModuleBytes uint64
	// Hooks that the declaration is for, resolved; Faults says why one of them cannot be used.
	Hooks  []string
	Faults map[string]string
}

// Declared says that a ConfigMap is meant to be a policy.
func Declared(cm *corev1.ConfigMap) bool { return cm.Labels[Label] == "true" }

// Mislabelled says why a ConfigMap that holds a module, and has the label with another value, is no policy; empty for
// any other. The value "false" is how an owner switches a policy off.
func Mislabelled(cm *corev1.ConfigMap) string {
	value, labelled := cm.Labels[Label]
	if !labelled || value == "true" || value == "false" {
		return ""
	}
	for key := range cm.BinaryData {
		if isModuleKey(key) {
			return fmt.Sprintf("label %s is %q: a policy has %q", Label, value, "true")
		}
	}
	return ""
}

// Read makes a Declaration of a ConfigMap. namespace is that of the mesh: policies of another are refused, and say so.
func Read(cm *corev1.ConfigMap, namespace string) Declaration {
	d := Declaration{Name: cm.Name, Revision: revision(cm)}
	if cm.Namespace != namespace {
		d.Name = cm.Namespace + "/" + cm.Name
		d.Fault = fmt.Sprintf("ConfigMap %s: namespace %s: policies are read from namespace %s only", d.Name, cm.Namespace, namespace)
		return d
	}
	for _, read := range []func(*corev1.ConfigMap) string{
		d.readKeys, d.readModule, d.readHooks, d.readMode, d.readSHA256, d.readConfig,
	} {
		if fault := read(cm); fault != "" && d.Fault == "" {
			d.Fault = "ConfigMap " + d.Name + ": " + fault
		}
	}
	return d
}

// readConfig bounds what is sent to every host in each plan: with more, a plan could exceed what a host receives in one
// message, and hosts would lose the catalog's stream over it.
func (d *Declaration) readConfig(cm *corev1.ConfigMap) string {
	config := cm.Data[keyConfig]
	if len(config) > maxConfigBytes {
		return fmt.Sprintf("data.config has %d bytes; at most %d are allowed", len(config), maxConfigBytes)
	}
	d.Config = []byte(config)
	return ""
}

// readKeys: an unknown key is more likely a slip than an addition. "Mode: shadow" must not activate a policy.
func (d *Declaration) readKeys(cm *corev1.ConfigMap) string {
	for _, key := range slices.Sorted(maps.Keys(cm.Data)) {
		switch {
		case slices.Contains([]string{keyConfig, keyHooks, keySHA256, keyMode}, key):
		case isModuleKey(key):
			return fmt.Sprintf("data.%s: a module belongs under binaryData, in base64", key)
		default:
			return fmt.Sprintf("data.%s is none of %s, %s, %s, %s", key, keyConfig, keyHooks, keySHA256, keyMode)
		}
	}
	return ""
}

func isModuleKey(key string) bool {
	return strings.HasSuffix(key, endModule) || strings.HasSuffix(key, endModuleGzip)
}

func (d *Declaration) readModule(cm *corev1.ConfigMap) string {
	keys := slices.Sorted(maps.Keys(cm.BinaryData))
	if len(keys) == 1 && isModuleKey(keys[0]) && len(cm.BinaryData[keys[0]]) > 0 {
		d.Key, d.Stored = keys[0], cm.BinaryData[keys[0]]
		return ""
	}
	found := "none"
	if len(keys) == 1 && isModuleKey(keys[0]) {
		found = keys[0] + ", which is empty"
	} else if len(keys) > 0 {
		found = strings.Join(keys, ", ")
	}
	return fmt.Sprintf("binaryData must have exactly one key, NAME%s or NAME%s; found %s", endModule, endModuleGzip, found)
}

func (d *Declaration) readHooks(cm *corev1.ConfigMap) string {
	text, given := cm.Data[keyHooks]
	if !given {
		return ""
	}
	fault := ""
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		switch {
		case !slices.Contains(hooks(), name):
			// The others are read all the same: it is about them that the refusal is listed.
			fault = cmp.Or(fault, fmt.Sprintf("data.hooks: %q is none of %s", name, strings.Join(hooks(), ", ")))
		case !slices.Contains(d.Hooks, name):
			d.Hooks = append(d.Hooks, name)
		}
	}
	return fault
}

func (d *Declaration) readMode(cm *corev1.ConfigMap) string {
	mode := strings.TrimSpace(cmp.Or(cm.Data[keyMode], modeActive))
	d.Shadow = mode == modeShadow
	if mode != modeShadow && mode != modeActive {
		return fmt.Sprintf("data.mode: %q is neither %s nor %s", mode, modeActive, modeShadow)
	}
	return ""
}

func (d *Declaration) readSHA256(cm *corev1.ConfigMap) string {
	text, given := cm.Data[keySHA256]
	if !given {
		return ""
	}
	d.SHA256 = strings.ToLower(strings.TrimSpace(text))
	if sum, err := hex.DecodeString(d.SHA256); err != nil || len(sum) != sha256.Size {
		return fmt.Sprintf("data.sha256: %q is not a SHA-256 in hex (%d digits)", d.SHA256, 2*sha256.Size)
	}
	return ""
}

// revision is a digest over data and binaryData. Each part is preceded by its length, so that no two contents agree.
func revision(cm *corev1.ConfigMap) string {
	h := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(cm.Data)) {
		part(h, []byte("d"+key))
		part(h, []byte(cm.Data[key]))
	}
	for _, key := range slices.Sorted(maps.Keys(cm.BinaryData)) {
		part(h, []byte("b"+key))
		part(h, cm.BinaryData[key])
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func part(h hash.Hash, b []byte) {
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(b))))
	h.Write(b)
}

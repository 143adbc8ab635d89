package identity

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// meshKeyBytes is AES-256.
	meshKeyBytes = 32
	// meshKeyLife is for how long a key is used before another is made.
	meshKeyLife = 90 * 24 * time.Hour
	// meshKeySettle is between the steps of a rotation. The kubelet brings a changed Secret within two minutes, and hosts
	// look at the file every few seconds.
	meshKeySettle = time.Hour
	// maxMeshKeys that a Secret holds: what is used and what replaces it.
	maxMeshKeys = 2
)

// keyPhase is where the rotation of a mesh's key stands.
type keyPhase string

// The phases, as annotation phaseAnnotation has them; sinceAnnotation has since when.
const (
	// steady: one key.
	steady keyPhase = "steady"
	// installing: a second key is accepted by hosts, and not used.
	installing keyPhase = "installing"
	// removing: the second has become the first, and what was used before is still accepted.
	removing keyPhase = "removing"

	phaseAnnotation = "wasmesh.dev/key-phase"
	sinceAnnotation = "wasmesh.dev/key-since"
)

// meshKeys are those of one namespace, in hexadecimal; hosts use the first and accept all.
type meshKeys struct {
	keys  []string
	phase keyPhase
	since time.Time
}

// step does what is due; the zero meshKeys have no key yet.
func (k meshKeys) step(now time.Time) (meshKeys, bool) {
	switch {
	case len(k.keys) == 0:
		return meshKeys{[]string{newMeshKey()}, steady, now}, true
	case now.Before(k.due()):
		return k, false
	case k.phase == steady:
		return meshKeys{[]string{k.keys[0], newMeshKey()}, installing, now}, true
	case k.phase == installing:
		return meshKeys{[]string{k.keys[1], k.keys[0]}, removing, now}, true
	}
	return meshKeys{k.keys[:1], steady, now}, true
}

// due is when step has something to do next.
func (k meshKeys) due() time.Time {
	if k.phase == steady {
		return k.since.Add(meshKeyLife)
	}
	return k.since.Add(meshKeySettle)
}

func newMeshKey() string {
	var key [meshKeyBytes]byte
	rand.Read(key[:]) // It never fails, see crypto/rand.
	return hex.EncodeToString(key[:])
}

func (k meshKeys) encode() []byte { return []byte(strings.Join(k.keys, "\n")) }

// decodeMeshKeys reads a Secret. One that a user has made has no annotations: nothing ever becomes due, and it is theirs to
// rotate. The error never repeats what it read.
func decodeMeshKeys(content []byte, phase, since string, now time.Time) (meshKeys, error) {
	k := meshKeys{keys: strings.Fields(string(content)), phase: keyPhase(phase)}
	bad := func(key string) bool {
		decoded, err := hex.DecodeString(key)
		return err != nil || len(decoded) != meshKeyBytes
	}
	if len(k.keys) == 0 || len(k.keys) > maxMeshKeys || slices.ContainsFunc(k.keys, bad) {
		return k, fmt.Errorf("want one or two lines of %d hexadecimal digits", 2*meshKeyBytes)
	}
	var err error
	if k.since, err = time.Parse(time.RFC3339, since); err != nil {
		k.since = now
	}
	if len(k.keys) == 1 {
		k.phase = steady
	} else if k.phase != installing {
		k.phase = removing
	}
	return k, nil
}

// Package modelid (pure) makes and reads the ids of models. It owns their form,
//
//	<name>__<source>-<hash>
//
// which is ModelMesh's to the last bit: clients see the id as model_name in every response, and a mesh that takes over
// from ModelMesh must not rename its models. The invariant: equal specs under one name give equal ids, in every
// version of this project. The hash differs between a storageUri and the storage key and path that mean the same
// object; both are right for their form.
//
// The controller makes ids; hosts and tools only read them and derive the 64-bit Key that stands for a model in
// tables and gossip.
package modelid

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
)

// Source is the kind of object that declared a model.
type Source string

// Sources. They also are the owner of the alias.
const (
	InferenceService Source = "isvc"
	Predictor        Source = "ksp"
)

const (
	separator = "__"
	// hashBytes of the SHA-1 are kept: 40 bits, ten hexadecimal digits.
	hashBytes = 5
	hashLen   = 2 * hashBytes
)

// ID is a model id in parts.
type ID struct {
	// Name is the alias that clients use: the name of the declaring object.
	Name   string
	Source Source
	// Hash of the Spec, ten lower-case hexadecimal digits.
	Hash string
}

// New makes the id of a model that the object name of kind source declares.
func New(name string, source Source, spec Spec) ID {
	return ID{Name: name, Source: source, Hash: spec.Hash()}
}

// String answers the id as it travels.
func (id ID) String() string {
	return id.Name + separator + string(id.Source) + "-" + id.Hash
}

// Parse takes an id apart. A name may itself contain the separator: the last one counts.
func Parse(s string) (ID, error) {
	i := strings.LastIndex(s, separator)
	if i < 1 {
		return ID{}, fmt.Errorf("parse model id %q: want <name>__<isvc|ksp>-<hash>", s)
	}
	source, hash, found := strings.Cut(s[i+len(separator):], "-")
	id := ID{Name: s[:i], Source: Source(source), Hash: hash}
	if !found || (id.Source != InferenceService && id.Source != Predictor) {
		return ID{}, fmt.Errorf("parse model id %q: want isvc- or ksp- after the last %q", s, separator)
	}
	if len(hash) != hashLen || strings.Trim(hash, "0123456789abcdef") != "" {
		return ID{}, fmt.Errorf("parse model id %q: want %d lower-case hexadecimal digits at its end", s, hashLen)
	}
	return id, nil
}

// Key stands for (namespace, model id) where rows must be small: residency, gossip, policies.
type Key uint64

// KeyOf answers the first eight bytes, big-endian, of the SHA-256 of namespace, a zero byte and the model id. Two
// models may collide, at odds of about 3 in 10^8 among a million; controller/decide looks for that and refuses the later.
func KeyOf(namespace, id string) Key {
	sum := sha256.Sum256([]byte(namespace + "\x00" + id))
	return Key(binary.BigEndian.Uint64(sum[:8]))
}

// String answers the key in sixteen hexadecimal digits.
func (k Key) String() string { return fmt.Sprintf("%016x", uint64(k)) }

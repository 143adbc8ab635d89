package cluster

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/controller/policies"
)

// Names in the controller's namespace, and the keys of what is there.
const (
	stateName   = "wasmesh-controller-state"
	keyTerm     = "term"
	keyPolicies = "policies"
	keyConfig   = "config"
	// modulePrefix begins the names of the ConfigMaps that have a policy's module: "<prefix><SHA-256 in hex>-<part>".
	modulePrefix = "wasmesh-module-"
	// labelModule marks them.
	labelModule = "wasmesh.dev/kept-module"
	keyModule   = "part.gz"
)

const (
	// termManager, policyManager and configManager own what they write, so that none removes another's key.
	termManager   = client.FieldOwner("wasmesh-term")
	policyManager = client.FieldOwner("wasmesh-policies")
	configManager = client.FieldOwner("wasmesh-config")
	// partBytes is what one ConfigMap takes of a compressed module: the API server refuses more than 1 MiB, names included.
	partBytes = 900 << 10
	// maxModuleBytes bounds what a damaged or foreign ConfigMap may unfold to; the engine takes no larger module.
	maxModuleBytes = 16 << 20
	// stateTimeout bounds one write of all of it.
	stateTimeout = 20 * time.Second
)

// state keeps in ConfigMaps what no object of a user could: how often a leader has started, and, since the ConfigMaps of
// their owners may hold something else by the next start, the last good configuration and which policies decide, with their
// modules. None of it is secret. It implements policies.Store.
type state struct {
	client    client.Client
	namespace string
	logger    *slog.Logger
}

// nextTerm counts this leader. The clock counts as well: whoever removes the ConfigMap does not begin again at 1, which
// hosts would take for the past.
func (s *state) nextTerm(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	kept, err := readConfigMap(ctx, s.client, client.ObjectKey{Namespace: s.namespace, Name: stateName})
	if err != nil {
		return 0, err
	}
	last, err := strconv.ParseUint(kept[keyTerm], 10, 64)
	if err != nil && kept[keyTerm] != "" {
		s.logger.Warn("the count of leaders cannot be read, the clock counts on", "configMap", stateName, "error", err)
	}
	term := max(last+1, uint64(time.Now().UnixMilli()))
	data := map[string]any{keyTerm: strconv.FormatUint(term, 10)}
	if err := s.apply(ctx, stateName, map[string]any{"data": data}, nil, termManager); err != nil {
		return 0, fmt.Errorf("count the leader: %w", err)
	}
	return term, nil
}

// SavePolicies implements policies.Store. Modules are there before the record that names them, and what no record names
// goes last.
func (s *state) SavePolicies(record []byte, modules map[string][]byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), stateTimeout)
	defer cancel()
	present, err := s.modules(ctx)
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, digest := range slices.Sorted(maps.Keys(modules)) {
		if err := s.saveModule(ctx, digest, modules[digest], present, wanted); err != nil {
			return err
		}
	}
	data := map[string]any{keyPolicies: string(record)}
	if err := s.apply(ctx, stateName, map[string]any{"data": data}, nil, policyManager); err != nil {
		return fmt.Errorf("save the record of policies: %w", err)
	}
	for name, cm := range present {
		if !wanted[name] {
			// It is tried again at the next save.
			_ = s.client.Delete(ctx, cm, client.Preconditions{UID: &cm.UID})
		}
	}
	return nil
}

func (s *state) saveModule(ctx context.Context, digest string, module []byte, present map[string]*corev1.ConfigMap, wanted map[string]bool) error {
	var compressed bytes.Buffer
	w, err := gzip.NewWriterLevel(&compressed, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(module)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return fmt.Errorf("compress policy module %s: %w", digest, err)
	}
	part := 0
	for content := range slices.Chunk(compressed.Bytes(), partBytes) {
		name := fmt.Sprintf("%s%s-%02d", modulePrefix, digest, part)
		part++
		wanted[name] = true
		if there := present[name]; there != nil && bytes.Equal(there.BinaryData[keyModule], content) {
			continue
		}
		fields := map[string]any{"binaryData": map[string]any{keyModule: base64.StdEncoding.EncodeToString(content)}}
		if err := s.apply(ctx, name, fields, map[string]any{labelModule: "true"}, policyManager); err != nil {
			return fmt.Errorf("save policy module %s: %w", digest, err)
		}
	}
	return nil
}

// apply makes a ConfigMap have the fields.
func (s *state) apply(ctx context.Context, name string, fields, labels map[string]any, owner client.FieldOwner) error {
	metadata := map[string]any{"name": name, "namespace": s.namespace}
	if labels != nil {
		metadata["labels"] = labels
	}
	object := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
	maps.Copy(object, fields)
	return applyObject(ctx, s.client, object, owner)
}

// modules answers the ConfigMaps with parts of modules, by name.
func (s *state) modules(ctx context.Context) (map[string]*corev1.ConfigMap, error) {
	list := &corev1.ConfigMapList{}
	if err := s.client.List(ctx, list, client.InNamespace(s.namespace), client.HasLabels{labelModule}); err != nil {
		return nil, fmt.Errorf("list the modules of policies: %w", err)
	}
	present := make(map[string]*corev1.ConfigMap, len(list.Items))
	for i := range list.Items {
		present[list.Items[i].Name] = &list.Items[i]
	}
	return present, nil
}

// policies answers what SavePolicies last kept. A module that is damaged counts as absent.
func (s *state) policies(ctx context.Context) (policies.Restored, error) {
	ctx, cancel := context.WithTimeout(ctx, stateTimeout)
	defer cancel()
	kept, err := readConfigMap(ctx, s.client, client.ObjectKey{Namespace: s.namespace, Name: stateName})
	if err != nil || kept[keyPolicies] == "" {
		return policies.Restored{}, err
	}
	restored := policies.Restored{Record: []byte(kept[keyPolicies]), Modules: map[string][]byte{}}
	present, err := s.modules(ctx)
	if err != nil {
		return policies.Restored{}, err
	}
	compressed := map[string][]byte{}
	for _, name := range slices.SortedFunc(maps.Keys(present), cmp.Compare) {
		digest, _, _ := strings.Cut(strings.TrimPrefix(name, modulePrefix), "-")
		compressed[digest] = append(compressed[digest], present[name].BinaryData[keyModule]...)
	}
	for digest, data := range compressed {
		module, err := inflate(data)
		if sum := sha256.Sum256(module); err == nil && hex.EncodeToString(sum[:]) != digest {
			err = fmt.Errorf("its content is not of that digest")
		}
		if err != nil {
			s.logger.Warn("a kept policy module counts as absent", "module", digest, "error", err)
			continue
		}
		restored.Modules[digest] = module
	}
	return restored, nil
}

func inflate(data []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, maxModuleBytes))
}

// readConfigMap answers its data, nil when there is none.
func readConfigMap(ctx context.Context, c client.Reader, name client.ObjectKey) (map[string]string, error) {
	cm := &corev1.ConfigMap{}
	if err := c.Get(ctx, name, cm); err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("read ConfigMap %s: %w", name, err)
	}
	return cm.Data, nil
}

// applyObject applies it whole, whoever has its fields.
func applyObject(ctx context.Context, c client.Client, object map[string]any, owner client.FieldOwner) error {
	return c.Apply(ctx, client.ApplyConfigurationFromUnstructured(&unstructured.Unstructured{Object: object}), owner, client.ForceOwnership)
}

package main

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/compression"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// build writes the image and answers the digest of its index, which is the same however often it is built.
func build(o options) (v1.Hash, error) {
	scratch, err := os.MkdirTemp(filepath.Dir(o.out), ".image-")
	if err != nil {
		return v1.Hash{}, fmt.Errorf("make directory: %w", err)
	}
	defer os.RemoveAll(scratch)

	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for i, platform := range o.directories {
		name, dir, ok := strings.Cut(platform, "=")
		if !ok {
			return v1.Hash{}, fmt.Errorf("platform %q is not os/architecture=directory", platform)
		}
		image, parsed, err := o.image(name, dir, filepath.Join(scratch, fmt.Sprintf("layer%d.tar", i)))
		if err != nil {
			return v1.Hash{}, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: parsed}})
	}
	// A layout's own index names the image, once for each of its tags.
	root := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, tag := range o.tags {
		named := map[string]string{"io.containerd.image.name": tag, "org.opencontainers.image.ref.name": tag}
		root = mutate.AppendManifests(root, mutate.IndexAddendum{Add: index, Descriptor: v1.Descriptor{Annotations: named}})
	}
	files := filepath.Join(scratch, "layout")
	if _, err := layout.Write(files, root); err != nil {
		return v1.Hash{}, fmt.Errorf("write image: %w", err)
	}
	if err := archive(o.out, files); err != nil {
		return v1.Hash{}, err
	}
	digest, err := index.Digest()
	if err != nil {
		return v1.Hash{}, fmt.Errorf("digest of image: %w", err)
	}
	return digest, nil
}

// image is one platform's. The layer is written to a file first: it is read several times, for digests and content.
func (o options) image(name, dir, layerFile string) (v1.Image, *v1.Platform, error) {
	platform, err := v1.ParsePlatform(name)
	if err != nil {
		return nil, nil, fmt.Errorf("platform %q: %w", name, err)
	}
	layer, err := o.layer(dir, layerFile)
	if err != nil {
		return nil, nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.Append(base, mutate.Addendum{Layer: layer, MediaType: o.layerType()})
	if err != nil {
		return nil, nil, fmt.Errorf("add layer of %s: %w", name, err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, nil, fmt.Errorf("read configuration: %w", err)
	}
	config = config.DeepCopy()
	// Without them a runtime takes the image for another platform's and does not find it.
	config.OS, config.Architecture, config.Variant = platform.OS, platform.Architecture, platform.Variant
	config.Config = v1.Config{
		Entrypoint: o.entrypoint, Cmd: o.command, User: o.user, WorkingDir: o.workDir,
		Env: append([]string{"PATH=/usr/local/bin:/usr/bin:/bin"}, o.env...),
	}
	image, err = mutate.ConfigFile(image, config)
	if err != nil {
		return nil, nil, fmt.Errorf("configure image for %s: %w", name, err)
	}
	return image, platform, nil
}

func (o options) layerType() types.MediaType {
	if o.compression == string(compression.ZStd) {
		return types.OCILayerZStd
	}
	return types.OCILayer
}

func (o options) layer(dir, file string) (v1.Layer, error) {
	to, err := os.Create(file)
	if err != nil {
		return nil, fmt.Errorf("make layer: %w", err)
	}
	defer to.Close()
	if err := writeLayer(to, dir, o.keepTimes); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return os.Open(file) }
	layer, err := tarball.LayerFromOpener(open, tarball.WithCompression(compression.Compression(o.compression)),
		tarball.WithCompressedCaching, tarball.WithMediaType(o.layerType()))
	if err != nil {
		return nil, fmt.Errorf("read layer of %s: %w", dir, err)
	}
	return layer, nil
}

// archive writes a directory as a tar file, under a name of its own until it is whole.
func archive(out, dir string) error {
	file, err := os.CreateTemp(filepath.Dir(out), ".image-*.tar")
	if err != nil {
		return fmt.Errorf("make %s: %w", out, err)
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if err := writeLayer(file, dir, false); err != nil {
		return err
	}
	if err := file.Chmod(0o644); err != nil {
		return fmt.Errorf("make %s: %w", out, err)
	}
	if err := os.Rename(file.Name(), out); err != nil {
		return fmt.Errorf("make %s: %w", out, err)
	}
	return nil
}

// writeRoots writes the authorities that Mozilla trusts, at the version that go.mod pins: those of the machine that
// builds would make the digest depend on it.
func writeRoots(file string) error {
	var content bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue // trusted for some certificates only, which a file of certificates cannot say
		}
		if err := pem.Encode(&content, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return fmt.Errorf("encode certificate: %w", err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	if err := os.WriteFile(file, content.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write certificates: %w", err)
	}
	return nil
}

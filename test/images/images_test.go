package images_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/test/installed"
)

const tag = "docker.io/local/sample:dev"

// descriptor, manifest and config are the parts of OCI's documents that a runtime goes by.
type descriptor struct {
	Digest      string            `json:"digest"`
	Annotations map[string]string `json:"annotations"`
	Platform    struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
	} `json:"platform"`
}

type manifest struct {
	Manifests []descriptor `json:"manifests"`
	Config    descriptor   `json:"config"`
	Layers    []descriptor `json:"layers"`
}

type config struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Config       struct {
		User       string
		Entrypoint []string
	} `json:"config"`
}

// rootFS makes a small file system whose times and modes differ with the seed, and whose content does not.
func rootFS(t *testing.T, seed time.Duration, mode os.FileMode) string {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "usr", "local", "bin", "program")
	if err := os.MkdirAll(filepath.Dir(program), mode|0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, []byte("program"), mode|0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("program", filepath.Join(filepath.Dir(program), "alias")); err != nil {
		t.Fatal(err)
	}
	when := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).Add(seed)
	if err := os.Chtimes(program, when, when); err != nil {
		t.Fatal(err)
	}
	return dir
}

// build makes an image for two platforms and answers its digest and its file.
func build(t *testing.T, root string) (digest, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "image.tar")
	command := exec.Command(installed.Tool(t, "images"), "-out", file, "-tag", tag, "-entrypoint", "/usr/local/bin/program",
		"-platform", "linux/amd64="+root, "-platform", "linux/arm64="+root)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	digest, _, _ = strings.Cut(string(out), " ")
	return digest, file
}

func TestTheSameContentMakesTheSameDigest(t *testing.T) {
	first, _ := build(t, rootFS(t, 0, 0o055))
	second, _ := build(t, rootFS(t, time.Hour, 0o050))
	if first != second || !strings.HasPrefix(first, "sha256:") {
		t.Errorf("digests %s and %s", first, second)
	}
	other := rootFS(t, 0, 0o055)
	if err := os.WriteFile(filepath.Join(other, "more"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if third, _ := build(t, other); third == first {
		t.Error("other content has the same digest")
	}
}

func TestRuntimesFindTheImageOfTheirPlatform(t *testing.T) {
	digest, file := build(t, rootFS(t, 0, 0o055))
	blobs := read(t, file)
	var root, index manifest
	decode(t, blobs["index.json"], &root)
	if len(root.Manifests) != 1 || root.Manifests[0].Digest != digest || root.Manifests[0].Annotations["io.containerd.image.name"] != tag {
		t.Fatalf("index.json names %+v, want %s as %s", root.Manifests, digest, tag)
	}
	decode(t, blob(t, blobs, digest), &index)
	var platforms []string
	for _, d := range index.Manifests {
		var image manifest
		var settings config
		decode(t, blob(t, blobs, d.Digest), &image)
		decode(t, blob(t, blobs, image.Config.Digest), &settings)
		if settings.OS != d.Platform.OS || settings.Architecture != d.Platform.Architecture {
			t.Errorf("an image for %s/%s says that it is for %s/%s", d.Platform.OS, d.Platform.Architecture, settings.OS, settings.Architecture)
		}
		if settings.Config.User != "65532:65532" || !reflect.DeepEqual(settings.Config.Entrypoint, []string{"/usr/local/bin/program"}) {
			t.Errorf("it runs %v as %q", settings.Config.Entrypoint, settings.Config.User)
		}
		platforms = append(platforms, settings.OS+"/"+settings.Architecture)
		checkLayer(t, blob(t, blobs, image.Layers[0].Digest))
	}
	if want := []string{"linux/amd64", "linux/arm64"}; !slices.Equal(platforms, want) {
		t.Errorf("platforms %v, want %v", platforms, want)
	}
}

// checkLayer: everything is root's, readable by the user that the program runs as, and links stay links.
func checkLayer(t *testing.T, layer []byte) {
	t.Helper()
	unpacked, err := gzip.NewReader(bytes.NewReader(layer))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for archive := tar.NewReader(unpacked); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Uid != 0 || header.Gid != 0 || header.Mode != 0o755 && header.Typeflag != tar.TypeSymlink {
			t.Errorf("%s belongs to %d:%d with mode %o", header.Name, header.Uid, header.Gid, header.Mode)
		}
		names = append(names, header.Name+header.Linkname)
	}
	want := []string{"usr/", "usr/local/", "usr/local/bin/", "usr/local/bin/aliasprogram", "usr/local/bin/program"}
	if !slices.Equal(names, want) {
		t.Errorf("layer has %v, want %v", names, want)
	}
}

// read answers the files of a tar file.
func read(t *testing.T, name string) map[string][]byte {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	content := make(map[string][]byte)
	for archive := tar.NewReader(file); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return content
		}
		if err != nil {
			t.Fatal(err)
		}
		if content[header.Name], err = io.ReadAll(archive); err != nil {
			t.Fatal(err)
		}
	}
}

func blob(t *testing.T, blobs map[string][]byte, digest string) []byte {
	t.Helper()
	content, ok := blobs["blobs/"+strings.ReplaceAll(digest, ":", "/")]
	if !ok {
		t.Fatalf("the file lacks %s", digest)
	}
	return content
}

func decode(t *testing.T, content []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(content, into); err != nil {
		t.Fatal(err)
	}
}

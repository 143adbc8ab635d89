package directory

import (
	"encoding/json"
	"maps"
	"slices"

	kjson "k8s.io/apimachinery/pkg/util/json"

	"github.com/wasmesh/wasmesh/controller/decide"
)

// memory is what Config.Save keeps: every object as it was last understood, and where it came from.
type memory struct {
	Files []rememberedFile `json:"files"`
}

type rememberedFile struct {
	Path    string             `json:"path"`
	Named   string             `json:"named"`
	Objects []rememberedObject `json:"objects"`
}

type rememberedObject struct {
	Line int `json:"line"`
	// Origin is absent of an object that lost against one with the same key.
	Origin *origin         `json:"origin,omitempty"`
	Object json.RawMessage `json:"object"`
}

// remember writes the memory. Files without objects have nothing to keep.
func (s *Source) remember() ([]byte, error) {
	var m memory
	kept := map[decide.Key]bool{}
	for _, path := range slices.Sorted(maps.Keys(s.files)) {
		f := s.files[path]
		if len(f.objects) == 0 {
			continue
		}
		entry := rememberedFile{Path: path, Named: f.named}
		for _, o := range f.objects {
			one := rememberedObject{Line: o.line, Object: o.json}
			if from, found := s.origins[o.key]; found && !kept[o.key] {
				one.Origin, kept[o.key] = &from, true
			}
			entry.Objects = append(entry.Objects, one)
		}
		m.Files = append(m.Files, entry)
	}
	return json.Marshal(m)
}

// recall takes a memory up again. What cannot be read of it is only missing: the files themselves are read next.
func (s *Source) recall(data []byte) {
	if len(data) == 0 {
		return
	}
	var m memory
	if err := json.Unmarshal(data, &m); err != nil {
		s.config.Logger.Warn("the objects kept from before the restart cannot be read; starting from the files alone",
			"error", err)
		return
	}
	for _, entry := range m.Files {
		f := &file{named: entry.Named}
		for _, one := range entry.Objects {
			o := s.recallObject(entry.Named, one)
			if o == nil {
				continue
			}
			f.objects = append(f.objects, o)
			if one.Origin != nil {
				s.origins[o.key] = *one.Origin
			}
		}
		s.files[entry.Path] = f
	}
}

func (s *Source) recallObject(named string, one rememberedObject) *object {
	r := &reader{file: named, defaultNamespace: s.config.DefaultNamespace}
	r.invalid = map[decide.Key]bool{}
	var h header
	if err := kjson.Unmarshal(one.Object, &h); err != nil {
		return nil
	}
	form, found := forms(h.Kind)[h.APIVersion]
	if !found {
		return nil
	}
	r.object(document{}, value{json: one.Object, line: one.Line}, h, form)
	if len(r.objects) == 0 {
		return nil
	}
	return r.objects[0]
}

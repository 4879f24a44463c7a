package basenode

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/tari-libp2p/tari-libp2p/basenode/basenodepb"
)

// testdata/published.txt is what protoc makes of the definitions in tari_core
// 6.3.0-pre.2, of the messages that we have: message, number, name and type of each field.
func TestMessagesArePublished(t *testing.T) {
	raw, err := os.ReadFile("testdata/published.txt")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(string(raw)), "\n")
	var got []string
	messages := basenodepb.File_basenode_basenodepb_basenode_proto.Messages()
	for i := range messages.Len() {
		fields := messages.Get(i).Fields()
		for j := range fields.Len() {
			f := fields.Get(j)
			if f.HasPresence() && f.Message() == nil {
				t.Errorf("%s has presence", f.FullName())
			}
			got = append(got, fmt.Sprintf("%s %d %s %s", messages.Get(i).Name(), f.Number(), f.Name(), typeName(f)))
		}
	}
	slices.Sort(got)
	for i, line := range want {
		// The one message that is not taken apart: on the wire it is bytes.
		want[i] = strings.Replace(line, "sidechain_feature SideChainFeature", "sidechain_feature bytes", 1)
	}
	if len(want) < 80 || !slices.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

func typeName(f protoreflect.FieldDescriptor) string {
	name := f.Kind().String()
	if f.Message() != nil {
		name = string(f.Message().Name())
	}
	if f.IsList() {
		name = "repeated " + name
	}
	return name
}

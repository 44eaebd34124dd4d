using System.Globalization;
using System.Text;

namespace Moe.Plugins.Collectives;

/// <summary>
/// The ledger of ranks that are processes. A call is noted in this process's memory, and the others are told now and then: a forward waits for no
/// network.
/// </summary>
internal sealed class ProcessLedger
{
    private readonly Lock _gate = new();
    private readonly IMoeRendezvous _rendezvous;
    private readonly CallLedger<string> _all;
    private readonly List<MoeGroupCall> _new = [];
    private readonly List<MoeGroupCall> _telling = [];

    public ProcessLedger(MoeGroupRequest request, IMoeRendezvous rendezvous, Action<MoeReason, string> end)
    {
        _rendezvous = rendezvous;
        _all = new CallLedger<string>(request, waits: false, end);
        rendezvous.Received += Receive;
    }

    /// <summary>Notes a call of this process's rank.</summary>
    public void Note(in MoeGroupCall call)
    {
        lock (_gate)
        {
            _new.Add(call);
        }
    }

    /// <summary>Tells the others, and ends the group where a rank has not come in time.</summary>
    public void Watch()
    {
        lock (_telling)
        {
            lock (_gate)
            {
                _telling.AddRange(_new);
                _new.Clear();
            }

            if (_telling.Count > 0)
            {
                string[] texts = [.. _telling.Select(Text)];
                _telling.Clear();
                _rendezvous.Send(Encoding.UTF8.GetBytes(string.Join('\n', texts)));
                NoteAll(_rendezvous.Rank, texts);
            }
        }

        _all.Watch();
    }

    /// <summary>Hears no more: the group is over.</summary>
    public void Close()
    {
        _rendezvous.Received -= Receive;
        _all.Close();
    }

    // Epsilon to its last bit.
    private static string Text(MoeGroupCall call) =>
        call.HasNorm ? string.Create(CultureInfo.InvariantCulture, $"{call} ({BitConverter.SingleToInt32Bits(call.Epsilon):x8})") : $"{call}";

    private void Receive(int rank, ReadOnlyMemory<byte> message) => NoteAll(rank, Encoding.UTF8.GetString(message.Span).Split('\n'));

    private void NoteAll(int rank, string[] calls) => Array.ForEach(calls, call => _all.Note(rank, call));
}

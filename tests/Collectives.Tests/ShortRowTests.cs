using Moe.Plugins.Tests;

namespace Moe.Plugins.Collectives.Tests;

/// <summary>Gatherings of rows of a few bytes, as ids and weights are, call behind call; long rows and sums between them take the same slots.</summary>
[Collection(Alone.Name)]
public sealed class ShortRowTests
{
    private const int MostRows = 300;
    private const int RowsAtOnce = 25;
    private const int SummedRows = 7;
    private const int MostShortBytes = 128;
    private const int MostLongRows = 5;
    private const int Columns = 2880;
    private const int Word = sizeof(int);

    /// <summary>A value that no rank brings.</summary>
    private const int Poison = 0x3FABCDEF;

    /// <summary>Bytes of rows; the last are long.</summary>
    private static readonly int[] Widths = [4, 8, 16, 100, 128, 6, Columns * sizeof(ushort)];

    /// <summary>Where the table reads long rows there are few slots: more short rows than a rank's share of all are several launches.</summary>
    [Theory]
    [InlineData(2, "push:132:1:1024")]
    [InlineData(2, "pull:3:1:5")]
    [InlineData(3, "push:1:1:1024")]
    [InlineData(4, "push:132:1:1024")]
    [InlineData(4, "pull:132:1:1048576")]
    [InlineData(8, "push:132:1:1024")]
    public void Any_number_of_short_rows_of_any_bytes_arrives(int ranks, string plan)
    {
        IReadOnlyList<MoeDevice> devices = CollectivesHost.Devices(ranks);
        using MoeHost host = CollectivesHost.Create(("Plan", plan));
        using IMoeGroup group = CollectivesHost.BackendOf(host).CreateGroup(new MoeGroupRequest
        {
            Devices = devices,
            MaxTokens = MostRows,
            Width = Columns,
            Timeout = TimeSpan.FromSeconds(20),
        });
        GroupLoadTests.Run(group, Work);
        Assert.Null(group.Failure);
    }

    private static void Work(IMoeCommunicator member)
    {
        using var tensors = new Tensors(member);
        for (int first = 1; first <= MostRows; first += RowsAtOnce)
        {
            tensors.Run(first);
        }
    }

    /// <param name="Rows">Of a rank.</param>
    /// <param name="Bytes">Of a row.</param>
    /// <param name="Number">Among the calls at once.</param>
    private readonly record struct Call(int Rows, int Bytes, int Number)
    {
        // Rows of an odd number of values lie dense, the others apart by any number of values.
        public int Stride => Bytes + (Bytes % Word != 0 ? 0 : Number % 3 * Word);

        public MoeElementType Type => Bytes % Word != 0 ? MoeElementType.BFloat16 : Number % 2 == 0 ? MoeElementType.Int32 : MoeElementType.Float32;

        /// <summary>Bytes of a rank's rows, up to where the next call's begin.</summary>
        public int Size => ((Rows * Stride) + 15) / 16 * 16;

        /// <summary>A byte that a rank brings: any, and every fourth row is all ones, as an id is that is nobody's.</summary>
        public byte At(int rank, int row, int i) => row % 4 == rank % 4 ? (byte)0xFF : (byte)((Number * 31) + (rank * 101) + (row * 7) + (i * 13));
    }

    /// <summary>One rank's: allocated before any rank may be waiting.</summary>
    private sealed unsafe class Tensors : IDisposable
    {
        private readonly IMoeCommunicator _member;
        private readonly MoeBuffer _input;
        private readonly MoeBuffer _output;
        private readonly MoeBuffer _sums;
        private readonly MoeBuffer _hostInput;
        private readonly MoeBuffer _hostOutput;
        private readonly MoeBuffer _hostSums;
        private readonly nint _stream;

        public Tensors(IMoeCommunicator member)
        {
            _member = member;
            int most = CallsFrom(MostRows - RowsAtOnce + 1).Sum(call => call.Size) / Word;
            _input = new MoeBuffer(member.Memory, MoeElementType.Int32, 1, most);
            _output = new MoeBuffer(member.Memory, MoeElementType.Int32, member.Count, most);
            _sums = new MoeBuffer(member.Memory, MoeElementType.BFloat16, SummedRows, Columns);
            _hostInput = MoeBuffer.OnHost(MoeElementType.Int32, 1, most);
            _hostOutput = MoeBuffer.OnHost(MoeElementType.Int32, member.Count, most);
            _hostSums = MoeBuffer.OnHost(MoeElementType.BFloat16, SummedRows, Columns);
            _stream = member.Memory.CreateStream();
        }

        public void Run(int firstRows)
        {
            Call[] calls = CallsFrom(firstRows);
            Bring(calls);
            int place = 0;
            foreach (Call call in calls)
            {
                _member.AllGather(new MoeGatherArguments
                {
                    Input = View(_input, place, call, call.Rows),
                    Output = View(_output, place * _member.Count, call, call.Rows * _member.Count),
                    Stream = _stream,
                });
                place += call.Size;
                if (call.Number % Widths.Length == 0)
                {
                    Sum(call.Number);
                }
            }

            _member.Memory.CopyOut(_hostOutput.View.Address, _output.View.Address, _output.ByteCount, _stream);
            _member.Memory.Synchronize(_stream);
            Check(calls);
        }

        public void Dispose()
        {
            _member.Memory.Synchronize(_stream);
            _member.Memory.DestroyStream(_stream);
            Array.ForEach([_input, _output, _sums, _hostInput, _hostOutput, _hostSums], buffer => buffer.Dispose());
        }

        private static Call[] CallsFrom(int firstRows) => [.. Enumerable.Range(firstRows, RowsAtOnce)
            .SelectMany(rows => Widths.Select(bytes => (Rows: bytes > MostShortBytes ? 1 + (rows % MostLongRows) : rows, Bytes: bytes)))
            .Select((call, number) => new Call(call.Rows, call.Bytes, number))];

        private static MoeTensorView View(MoeBuffer buffer, int place, Call call, int rows) =>
            new(buffer.View.Address + place, buffer.View.Device, call.Type, rows, call.Bytes / call.Type.ByteSize(), call.Stride);

        private void Bring(Call[] calls)
        {
            new Span<int>((void*)_hostOutput.View.Address, (int)_hostOutput.ByteCount / Word).Fill(Poison);
            byte* to = (byte*)_hostInput.View.Address;
            foreach (Call call in calls)
            {
                for (int row = 0; row < call.Rows; row++)
                {
                    for (int i = 0; i < call.Bytes; i++)
                    {
                        to[(row * call.Stride) + i] = call.At(_member.Rank, row, i);
                    }
                }

                to += call.Size;
            }

            _member.Memory.CopyIn(_input.View.Address, _hostInput.View.Address, _input.ByteCount, _stream);
            _member.Memory.CopyIn(_output.View.Address, _hostOutput.View.Address, _output.ByteCount, _stream);
        }

        // Whole numbers, whose sums are exact.
        private void Sum(int number)
        {
            float own = number % 5;
            new Span<ushort>((void*)_hostSums.View.Address, SummedRows * Columns).Fill(MoeBFloat16.FromSingle(own + _member.Rank));
            MoePartial partial = _member.LendPartial(SummedRows);
            _member.Memory.CopyIn(partial.View.Address, _hostSums.View.Address, _hostSums.ByteCount, _stream);
            _member.AllReduce(new MoeReduceArguments { Partial = partial, Output = _sums.View, Stream = _stream });
            _member.Memory.CopyOut(_hostSums.View.Address, _sums.View.Address, _sums.ByteCount, _stream);
            _member.Memory.Synchronize(_stream);
            Assert.Equal(-1, _hostSums.ToSingles().AsSpan().IndexOfAnyExcept(Enumerable.Range(0, _member.Count).Sum(rank => own + rank)));
        }

        private void Check(Call[] calls)
        {
            byte* found = (byte*)_hostOutput.View.Address;
            ReadOnlySpan<byte> poison = BitConverter.GetBytes(Poison);
            foreach (Call call in calls)
            {
                for (int token = 0; token < _member.Count * call.Rows; token++)
                {
                    byte* at = found + (token * call.Stride);
                    for (int i = 0; i < call.Stride; i++)
                    {
                        byte expected = i < call.Bytes ? call.At(token / call.Rows, token % call.Rows, i) : poison[(int)((at + i - found) % Word)];
                        if (at[i] != expected)
                        {
                            Assert.Fail($"{call}, rank {_member.Rank}: byte {i} of token {token} is {at[i]:x2}, not {expected:x2}");
                        }
                    }
                }

                int end = _member.Count * call.Rows * call.Stride;
                for (int i = end; i < _member.Count * call.Size; i++)
                {
                    if (found[i] != poison[i % Word])
                    {
                        Assert.Fail($"{call}, rank {_member.Rank}: byte {i - end} behind the rows is {found[i]:x2}");
                    }
                }

                found += _member.Count * call.Size;
            }
        }
    }
}

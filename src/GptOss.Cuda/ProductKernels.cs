using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.GptOss.Cuda;

/// <summary>The kernels of one product, each for so many tiles of 8 tokens, and which one runs a batch. Launches only enqueue; the context must be current.</summary>
internal sealed class ProductKernels
{
    public const int Threads = 256;

    /// <summary>Elements behind each row in shared memory, <c>kRowGap</c> in <c>gpt_oss_product.cuh</c>.</summary>
    public const int RowGap = 32;

    /// <summary>Bytes of a step of a warp, <c>kStepBytes</c> in <c>gpt_oss_product.cuh</c>.</summary>
    private const int StepBytes = 1024;

    /// <summary>More than what products that stage rows have of static shared memory.</summary>
    private const int StaticBytes = 7 << 10;

    private const int UnitOutputs = 16;

    /// <summary>Tiles of 8 tokens that products are compiled for.</summary>
    private static readonly int[] Tiles = [1, 2, 4];

    private readonly KernelLibrary _library;
    private readonly int _multiprocessors;
    private readonly int _sharedBytes;
    private readonly Kernel[] _kernels;

    /// <param name="library">Gets them; its context must be current.</param>
    /// <param name="config">The sizes, as far as the device has them.</param>
    /// <param name="unit">Their source.</param>
    /// <param name="entry">Each one's name, by its tiles.</param>
    /// <exception cref="MoeException">A kernel does not compile, or there is no compiler.</exception>
    public ProductKernels(KernelLibrary library, GptOssConfig config, KernelUnit unit, Func<int, string> entry)
    {
        _library = library;
        _multiprocessors = library.Context.Device.MultiprocessorCount;
        _sharedBytes = library.Context.Device.MaxSharedBytesPerBlock - StaticBytes;
        _kernels = [.. Tiles.Select(Get)];

        // Few tokens' products run beside those of expert layers; those of more want the L1 cache for their rows.
        Kernel Get(int tiles)
        {
            int most = SharedBytes(tiles, tokens: 8, Math.Max(config.HiddenSize, config.HeadCount * config.HeadSize));
            return new Kernel(library.Get(unit, entry(tiles), Math.Min(most, _sharedBytes), besideProducts: tiles == 1), tiles);
        }
    }

    /// <summary>The names of a product's kernels.</summary>
    public static IEnumerable<string> Entries(Func<int, string> entry) => Tiles.Select(entry);

    /// <summary>The most blocks that a launch for so many tokens has, whichever kernel runs it.</summary>
    public int MostBlocks(int tokens, int inputs) => _multiprocessors * _kernels.Max(kernel => kernel.BlocksPerMultiprocessor(tokens, inputs));

    /// <summary>Launches the kernel for so many tokens: as many blocks as the device has place for, or units where those are fewer.</summary>
    /// <returns>The blocks.</returns>
    public int Launch<TParameters>(in Parameters product, nint stream, in TParameters parameters)
        where TParameters : unmanaged
    {
        (int tokens, int inputs) = (product.Tokens, product.Inputs);
        Kernel kernel = Array.Find(_kernels, kernel => tokens <= 8 * kernel.Tiles && SharedBytes(kernel.Tiles, tokens, inputs) <= _sharedBytes)!;
        int places = _multiprocessors * kernel.BlocksPerMultiprocessor(tokens, inputs);
        int blocks = Math.Min((product.Outputs + UnitOutputs - 1) / UnitOutputs, places);
        kernel.Function.Launch(_library.Launch(blocks, Threads, SharedBytes(kernel.Tiles, tokens, inputs)), stream, in parameters);
        return blocks;
    }

    /// <summary>Steps that each warp has under way, and the rows of up to 8 tokens, as in <c>gpt_oss_product.cuh</c>.</summary>
    private static int SharedBytes(int tiles, int tokens, int inputs) =>
        (Threads / 32 * (tiles == 1 ? 10 : 8) * StepBytes) + (tiles == 1 ? tokens * (inputs + RowGap) * sizeof(ushort) : 0);

    /// <summary>As <c>Product</c> in <c>gpt_oss_product.cuh</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Parameters
    {
        public nint Weight;
        public nint Rows;
        public int Outputs;
        public int Inputs;
        public int Tokens;
        public int Half;
    }

    /// <param name="function">The kernel.</param>
    /// <param name="tiles">Tiles of 8 tokens that it is for.</param>
    private sealed class Kernel(CudaFunction function, int tiles)
    {
        private readonly Dictionary<int, int> _blocks = [];

        public CudaFunction Function => function;

        public int Tiles => tiles;

        /// <summary>Blocks that a multiprocessor has place for.</summary>
        public int BlocksPerMultiprocessor(int tokens, int inputs)
        {
            int bytes = SharedBytes(tiles, tokens, inputs);
            if (!_blocks.TryGetValue(bytes, out int blocks))
            {
                _blocks[bytes] = blocks = function.GetMaxBlocksPerMultiprocessor(Threads, bytes);
            }

            return blocks;
        }
    }
}

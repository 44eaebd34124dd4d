using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;

namespace Moe.Plugins.Cuda;

/// <summary>A call of the CUDA driver or of NVRTC that failed, or could not be made.</summary>
public sealed partial class CudaException : Exception
{
    private CudaException(string call, int code, string errorName, bool isContextLost, string message)
        : base(message)
    {
        Call = call;
        Code = code;
        ErrorName = errorName;
        IsContextLost = isContextLost;
    }

    /// <summary>The call that failed, by its name in CUDA, such as <c>cuMemAlloc_v2</c>.</summary>
    public string Call { get; }

    /// <summary>The <c>CUresult</c> or <c>nvrtcResult</c>; -1 where the library is missing and no call was made.</summary>
    public int Code { get; }

    /// <summary>CUDA's name of the error, such as <c>CUDA_ERROR_OUT_OF_MEMORY</c>.</summary>
    public string ErrorName { get; }

    /// <summary>
    /// True when the error is sticky: each later call on the context fails with it, memory on it is lost, and only a new
    /// process helps. Kernels report such errors at the next call that waits, so the named call need not be the culprit.
    /// </summary>
    public bool IsContextLost { get; }

    /// <summary>Throws for any driver result but success; the call's name comes from the argument as it is written.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void ThrowIfFailed(int result, [CallerArgumentExpression(nameof(result))] string call = "")
    {
        if (result != 0)
        {
            throw FromDriver(result, CallName(call), null);
        }
    }

    internal static CudaException FromDriver(int result, string call, string? detail)
    {
        string name = Text(DriverApi.cuGetErrorName(result, out nint namePointer), namePointer) ?? $"CUDA error {result}";
        string text = Text(DriverApi.cuGetErrorString(result, out nint textPointer), textPointer) ?? "unknown to this driver";
        bool lost = IsSticky(result);
        string message = $"{call} failed: {name} ({result}): {text}."
            + (detail is null ? "" : " " + detail)
            + (lost ? " The context is lost: every later call on it fails, and only a new process recovers the device." : "");
        return new CudaException(call, result, name, lost, message);
    }

    internal static CudaException FromNvrtc(int result, string call, string? detail)
    {
        string name = Marshal.PtrToStringUTF8(NvrtcApi.nvrtcGetErrorString(result)) ?? $"NVRTC error {result}";
        return new CudaException(call, result, name, false, $"{call} failed: {name} ({result}).{(detail is null ? "" : " " + detail)}");
    }

    internal static CudaException NotLoaded(string library, string reason) =>
        new(library, -1, "not loaded", false, reason);

    /// <summary>
    /// The errors of which the driver API's page of CUresult says that the process is left "in an inconsistent state", and
    /// those after which the context itself is gone.
    /// </summary>
    internal static bool IsSticky(int result) => result is
        4        // deinitialized
        or 214   // ECC uncorrectable
        or 220   // NVLink uncorrectable
        or 226   // contained
        or 700   // illegal address
        or 702   // launch timeout
        or 709   // context is destroyed
        or 710   // assert
        or 714   // hardware stack error
        or 715   // illegal instruction
        or 716   // misaligned address
        or 717   // invalid address space
        or 718   // invalid pc
        or 719   // launch failed
        or 721;  // tensor memory leak

    internal static string CallName(string expression) =>
        ApiCall().Match(expression) is { Success: true } match ? match.Groups["call"].Value : expression;

    [GeneratedRegex(@"Api\.(?<call>\w+)", RegexOptions.CultureInvariant)]
    private static partial Regex ApiCall();

    private static string? Text(int result, nint pointer) => result == 0 ? Marshal.PtrToStringUTF8(pointer) : null;
}

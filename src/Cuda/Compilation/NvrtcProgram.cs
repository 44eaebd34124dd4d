using System.Runtime.InteropServices;
using System.Text;

namespace Moe.Plugins.Cuda;

/// <summary>One compilation by NVRTC.</summary>
internal sealed unsafe class NvrtcProgram : SafeHandle
{
    internal NvrtcProgram(KernelSource source)
        : base(0, ownsHandle: true)
    {
        string[] texts = [.. source.Headers.Select(header => header.Text)];
        string[] names = [.. source.Headers.Select(header => header.Name)];
        Nvrtc.ThrowIfFailed(NvrtcApi.nvrtcCreateProgram(out nint program, source.Text, source.Name, names.Length, texts, names));
        SetHandle(program);
    }

    /// <inheritdoc/>
    public override bool IsInvalid => handle == 0;

    /// <summary>Compiles to a cubin.</summary>
    internal KernelImage Compile(KernelRequest request)
    {
        foreach (string expression in request.NameExpressions)
        {
            Nvrtc.ThrowIfFailed(NvrtcApi.nvrtcAddNameExpression(handle, expression));
        }

        string[] options = [.. request.Options, .. OwnCacheOff];
        int result = NvrtcApi.nvrtcCompileProgram(handle, options.Length, options);

        // Also of what fails before it compiles, such as builtins that are not there, the log alone says why.
        string log = ReadLog();
        if (result != 0)
        {
            throw CudaException.FromNvrtc(
                result,
                nameof(NvrtcApi.nvrtcCompileProgram),
                $"{request.Source.Name} for {request.Architecture}, options {string.Join(' ', options)}:{Environment.NewLine}{log}");
        }

        Dictionary<string, string> loweredNames = [];
        foreach (string expression in request.NameExpressions)
        {
            Nvrtc.ThrowIfFailed(NvrtcApi.nvrtcGetLoweredName(handle, expression, out nint lowered));
            loweredNames[expression] = Marshal.PtrToStringUTF8(lowered)!;
        }

        Nvrtc.ThrowIfFailed(NvrtcApi.nvrtcGetCUBINSize(handle, out nuint bytes));
        byte[] cubin = new byte[(int)bytes];
        fixed (byte* pointer = cubin)
        {
            Nvrtc.ThrowIfFailed(NvrtcApi.nvrtcGetCUBIN(handle, pointer));
        }

        return new KernelImage(cubin, log, loweredNames, KernelImageOrigin.Compiled);
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle()
    {
        nint program = handle;
        return NvrtcApi.nvrtcDestroyProgram(ref program) == 0;
    }

    // NVRTC keeps a cache of its own from 12.9 on, on machines with a driver. What it finds there it does not give to ptxas,
    // and the log lacks the report. The option changes nothing in the code, so it is no part of the request.
    private static string[] OwnCacheOff => Nvrtc.GetVersion() >= new Version(12, 9) ? ["--no-cache"] : [];

    private string ReadLog()
    {
        Nvrtc.ThrowIfFailed(NvrtcApi.nvrtcGetProgramLogSize(handle, out nuint bytes));
        byte[] log = new byte[(int)bytes];
        fixed (byte* pointer = log)
        {
            Nvrtc.ThrowIfFailed(NvrtcApi.nvrtcGetProgramLog(handle, pointer));
        }

        return Encoding.UTF8.GetString(log).TrimEnd('\0', '\n');
    }
}

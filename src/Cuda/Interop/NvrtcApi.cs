using System.Runtime.InteropServices;

namespace Moe.Plugins.Cuda;

/// <summary>NVRTC's calls. Every result is an <c>nvrtcResult</c>.</summary>
internal static unsafe partial class NvrtcApi
{
    private const string Library = NativeLibraries.Nvrtc;

    /// <summary>All that is called. CUDA 12's NVRTC has them, and older ones may.</summary>
    internal static IReadOnlyList<string> Calls { get; } =
    [
        nameof(nvrtcGetErrorString), nameof(nvrtcVersion), nameof(nvrtcGetNumSupportedArchs), nameof(nvrtcGetSupportedArchs), nameof(nvrtcCreateProgram),
        nameof(nvrtcDestroyProgram), nameof(nvrtcAddNameExpression), nameof(nvrtcCompileProgram), nameof(nvrtcGetProgramLogSize),
        nameof(nvrtcGetProgramLog), nameof(nvrtcGetCUBINSize), nameof(nvrtcGetCUBIN), nameof(nvrtcGetLoweredName),
    ];

    static NvrtcApi()
    {
        NativeLibraries.Register();
    }

    [LibraryImport(Library)]
    internal static partial nint nvrtcGetErrorString(int result);

    [LibraryImport(Library)]
    internal static partial int nvrtcVersion(out int major, out int minor);

    [LibraryImport(Library)]
    internal static partial int nvrtcGetNumSupportedArchs(out int count);

    [LibraryImport(Library)]
    internal static partial int nvrtcGetSupportedArchs(int* architectures);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int nvrtcCreateProgram(
        out nint program, string source, string name, int headerCount, string[] headers, string[] includeNames);

    [LibraryImport(Library)]
    internal static partial int nvrtcDestroyProgram(ref nint program);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int nvrtcAddNameExpression(nint program, string expression);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int nvrtcCompileProgram(nint program, int optionCount, string[] options);

    [LibraryImport(Library)]
    internal static partial int nvrtcGetProgramLogSize(nint program, out nuint bytes);

    [LibraryImport(Library)]
    internal static partial int nvrtcGetProgramLog(nint program, byte* log);

    [LibraryImport(Library)]
    internal static partial int nvrtcGetCUBINSize(nint program, out nuint bytes);

    [LibraryImport(Library)]
    internal static partial int nvrtcGetCUBIN(nint program, byte* cubin);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int nvrtcGetLoweredName(nint program, string expression, out nint loweredName);
}
